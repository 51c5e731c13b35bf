"""Other people's trained networks, each as a function from photos to pictures.

All take and give (N, 3, H, W) in [0, 1], sides multiples of 4. Written from the descriptions of
their architectures; the weights are not part of this project.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from contenders import SingleStyleNetwork
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

Stylize = Callable[[Tensor], Tensor]

# Row of each style in the mobile network's table. It names none; of its 26 pictures these are by
# far the nearest to the paintings, to the eye and by their Gram matrices.
MOBILE_ROWS = {"great-wave": 24, "starry-night": 25, "profumo": 16, "floral-textile": 9}


def fast_neural_style(path: Path) -> Stylize:
    """Udnie in the network of pytorch/examples fast_neural_style."""
    tensors = {key: value.float() for key, value in load_file(path).items()}
    network = SingleStyleNetwork().eval().requires_grad_(False)

    def fill(convolution: torch.nn.Conv2d, norm: torch.nn.Module | None, c: str, n: str) -> None:
        convolution.load_state_dict(_pair(tensors, f"{c}.conv2d"))
        if norm is not None:
            norm.load_state_dict(_pair(tensors, n))

    for i, unit in enumerate(network.contract, 1):
        fill(unit[1], unit[2], f"conv{i}", f"in{i}")
    for i, unit in enumerate(network.residual):
        block, half = divmod(i, 2)
        name = f"res{block + 1}"
        fill(unit[1], unit[2], f"{name}.conv{half + 1}", f"{name}.in{half + 1}")
    for i, unit in enumerate(network.expand, 1):
        fill(unit[1], unit[2], f"deconv{i}", f"in{i + 3}")
    fill(network.output[1], None, "deconv3", "")
    return lambda photos: (network(photos * 255) / 255).clamp(0, 1)


def _pair(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensors[f"{name}.{key}"] for key in ("weight", "bias")}


def fast_style_transfer(path: Path) -> Stylize:
    """One style in the network of lengstrom/fast-style-transfer.

    Zero padding as TensorFlow's "same": at stride 2, one row below and one column to the right.
    """
    tensors = load_file(path)
    values = [tensors["Variable" + (f"_{i}" if i else "")].float() for i in range(len(tensors))]
    triples = list(zip(values[::3], values[1::3], values[2::3], strict=True))

    def normalize(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        return (x - mean) / (variance + 1e-3).sqrt() * scale[:, None, None] + shift[:, None, None]

    def convolve(x: Tensor, index: int, stride: int = 1) -> Tensor:
        weight, shift, scale = triples[index]
        side = weight.shape[0]
        if stride == 1:
            x = F.conv2d(x, weight.permute(3, 2, 0, 1), padding=side // 2)
        else:
            x = F.conv2d(F.pad(x, [0, 1, 0, 1]), weight.permute(3, 2, 0, 1), stride=2)
        return normalize(x, shift, scale)

    def enlarge(x: Tensor, index: int) -> Tensor:
        weight, shift, scale = triples[index]  # (3, 3, out, in)
        x = F.conv_transpose2d(x, weight.permute(3, 2, 0, 1), stride=2)[:, :, :-1, :-1]
        return normalize(x, shift, scale)

    def run(photos: Tensor) -> Tensor:
        x = F.relu(convolve(photos * 255, 0))
        x = F.relu(convolve(x, 1, 2))
        x = F.relu(convolve(x, 2, 2))
        for index in range(3, 13, 2):
            x = x + convolve(F.relu(convolve(x, index)), index + 1)
        x = F.relu(enlarge(x, 13))
        x = F.relu(enlarge(x, 14))
        return ((convolve(x, 15).tanh() * 150 + 127.5) / 255).clamp(0, 1)

    return run


def mobile_network(path: Path, row: int) -> Stylize:
    """A style of Dumoulin et al.'s network in its mobile size, 26 styles."""
    tensors = {name.removeprefix("transformer/"): t.float() for name, t in load_file(path).items()}

    def convolve(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}/weights"].permute(3, 2, 0, 1)
        half = weight.shape[2] // 2
        x = F.conv2d(F.pad(x, [half] * 4, mode="reflect"), weight, stride=stride)
        beta, gamma = (tensors[f"{name}/InstanceNorm/{part}"][row] for part in ("beta", "gamma"))
        return F.instance_norm(x, weight=gamma, bias=beta, eps=1e-5)

    def run(photos: Tensor) -> Tensor:
        x = F.relu(convolve(photos, "contract/conv1"))
        x = F.relu(convolve(x, "contract/conv2", 2))
        x = F.relu(convolve(x, "contract/conv3", 2))
        for i in range(1, 7):
            inner = F.relu(convolve(x, f"residual/residual{i}/conv1"))
            x = x + convolve(inner, f"residual/residual{i}/conv2")
        for i in (1, 2):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.relu(convolve(x, f"expand/conv{i}/conv"))
        return convolve(x, "expand/conv3/conv").sigmoid()

    return run


def magenta_arbitrary(folder: Path, style: Image.Image) -> Stylize:
    """Ghiasi et al.'s network for any style, as Magenta ships it; photos of 384 x 384 px alone.

    It is shown the style picture's centre square at 256 px.
    """
    transfer = _interpreter(folder / "style_transfer_fp16.tflite")
    predict = _interpreter(folder / "style_predict_int8.tflite")
    side = min(style.size)
    left, top = (style.width - side) / 2, (style.height - side) / 2
    square = style.resize(
        (256, 256), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side)
    )
    bottleneck = _invoke(predict, np.asarray(square, np.float32)[None] / 255)

    def run(photos: Tensor) -> Tensor:
        pictures = [
            _invoke(transfer, photo.permute(1, 2, 0)[None].numpy(), bottleneck) for photo in photos
        ]
        return torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2).contiguous()

    return run


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=torch.get_num_threads())
    interpreter.allocate_tensors()
    return interpreter


def _invoke(interpreter: Any, *inputs: np.ndarray) -> np.ndarray:
    """Run on inputs that are told apart by their shapes."""
    for detail in interpreter.get_input_details():
        (fitting,) = (x for x in inputs if tuple(x.shape) == tuple(detail["shape"]))
        interpreter.set_tensor(detail["index"], fitting)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy()
