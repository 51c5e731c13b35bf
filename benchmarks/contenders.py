"""The networks that are compared, each as a function from a photo to a picture."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.inference.paths import StreamedRunner
from model.inference.stylizer import Stylizer

Run = Callable[[], object]
Contender = Callable[[Tensor], Run]  # takes a photo (1, 3, H, W), sides multiples of 4


class SingleStyleNetwork(nn.Module):
    """The network of pytorch/examples fast_neural_style, from its description: one style.

    Johnson's transformer with instance normalization (own scale and shift), reflection padding,
    convolutions with bias; enlargement by nearest neighbour; pictures from 0 to 255; after the
    last convolution neither normalization nor a squashing function.
    """

    def __init__(self) -> None:
        super().__init__()

        def unit(inside: int, outside: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            convolution = nn.Conv2d(inside, outside, kernel, stride)
            return [nn.ReflectionPad2d(kernel // 2), convolution]

        def normalized(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Sequential:
            norm = nn.InstanceNorm2d(outside, affine=True)
            return nn.Sequential(*unit(inside, outside, kernel, stride), norm)

        self.contract = nn.ModuleList(
            [normalized(3, 32, 9), normalized(32, 64, 3, 2), normalized(64, 128, 3, 2)]
        )
        self.residual = nn.ModuleList(normalized(128, 128, 3) for _ in range(10))
        self.expand = nn.ModuleList([normalized(128, 64, 3), normalized(64, 32, 3)])
        self.output = nn.Sequential(*unit(32, 3, 9))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) from 0 to 255."""
        for layer in self.contract:
            x = F.relu(layer(x))
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            x = x + second(F.relu(first(x)))
        for layer in self.expand:
            x = F.relu(layer(F.interpolate(x, scale_factor=2, mode="nearest")))
        return self.output(x)


class _Aligned(nn.Module):
    """The style network without padding and cropping, as exporters take it."""

    def __init__(self, stylizer: Stylizer) -> None:
        super().__init__()
        self.network = stylizer.network

    def forward(self, photos: Tensor, codes: Tensor) -> Tensor:
        return self.network.stylize_aligned(photos, codes)


def peer_eager(device: torch.device) -> Contender:
    """The single-style network in plain float32."""
    network = SingleStyleNetwork().eval().requires_grad_(False).to(device)

    def prepare(photo: Tensor) -> Run:
        scaled = (photo * 255).to(device)
        return lambda: network(scaled)

    return prepare


def own_eager(stylizer: Stylizer, code: Tensor) -> Contender:
    """The network as it is written down, float32."""

    def prepare(photo: Tensor) -> Run:
        here = photo.to(stylizer.device).contiguous(memory_format=torch.channels_last)
        codes = code[None].to(stylizer.device)
        return lambda: stylizer.network(here, codes)

    return prepare


def own_path(stylizer: Stylizer, code: Tensor, dtype: torch.dtype) -> Contender:
    """A path of the service on a CPU."""
    runner = StreamedRunner(stylizer.network, dtype)

    def prepare(photo: Tensor) -> Run:
        return lambda: runner(photo, code[None], lambda _: None)

    return prepare


def onnx_runtime(stylizer: Stylizer, code: Tensor) -> Contender:
    """ONNX Runtime, float32, any size."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "network.onnx"
        sides = {2: torch.export.Dim("h", min=8) * 4, 3: torch.export.Dim("w", min=8) * 4}
        torch.onnx.export(
            _Aligned(stylizer),
            (torch.rand(1, 3, 64, 96), code[None]),
            path,
            dynamo=True,
            dynamic_shapes=(sides, {}),
            verbose=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def prepare(photo: Tensor) -> Run:
        values = dict(zip(names, (photo.numpy(), code[None].numpy()), strict=True))
        return lambda: session.run(None, values)[0]

    return prepare


def openvino(stylizer: Stylizer, code: Tensor, precision: str) -> Contender:
    """OpenVINO, ``f32`` or ``bf16``, any size."""
    import openvino as ov

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.rand(1, 3, 64, 96), code[None])
        model = ov.convert_model(_Aligned(stylizer), example_input=example)
    model.reshape({0: [1, 3, -1, -1], 1: [1, len(code)]})
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = ov.Core().compile_model(model, "CPU", options)

    def prepare(photo: Tensor) -> Run:
        values = [photo.numpy(), code[None].numpy()]
        return lambda: compiled(values)[0]

    return prepare


def magenta(folder: Path) -> Contender:
    """Magenta's arbitrary network (Ghiasi et al. 2017) without its style prediction, float16."""
    from ai_edge_litert.interpreter import Interpreter

    path = folder / "magenta-arbitrary" / "style_transfer_fp16.tflite"

    def prepare(photo: Tensor) -> Run:
        interpreter = Interpreter(str(path), num_threads=torch.get_num_threads())
        picture, style = interpreter.get_input_details()
        _, _, height, width = photo.shape
        interpreter.resize_tensor_input(picture["index"], [1, height, width, 3])
        interpreter.allocate_tensors()
        interpreter.set_tensor(picture["index"], photo.permute(0, 2, 3, 1).contiguous().numpy())
        interpreter.set_tensor(style["index"], np.zeros((1, 1, 1, 100), np.float32))

        def run() -> object:
            interpreter.invoke()
            return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

        return run

    return prepare
