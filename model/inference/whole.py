"""The whole network at once on a GPU: half precision, compiled."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.streamed.network import Follow
from model.inference.streamed.rows import SMOOTH_DETAIL, least_detail, low_contrast
from model.network.network import StyleNetwork, aligned_side


class WholeRunner:
    """The network in one floating type, kernel after kernel.

    Parameters
    ----------
    network
        Whose weights it copies.
    dtype
        Of weights and activations; statistics are float32 in any case.
    """

    def __init__(self, network: StyleNetwork, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._careful = network
        self.network = copy.deepcopy(network).to(dtype).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, photos: Tensor, codes: Tensor, progress: Follow) -> Tensor:
        """See `model.inference.paths.Runner`; told once, at the start: it takes milliseconds."""
        progress(0.0)
        smooth = self.dtype == torch.bfloat16 and least_detail(photos) < SMOOTH_DETAIL
        if smooth or low_contrast(photos):
            return self._careful(photos, codes)  # type: ignore[no-any-return]
        height, width = photos.shape[-2:]
        aligned = photos - photos.mean(dim=(2, 3), keepdim=True)  # as `PhotoRows` does
        right, bottom = aligned_side(width) - width, aligned_side(height) - height
        if right or bottom:
            aligned = F.pad(aligned, [0, right, 0, bottom], mode="replicate")
        aligned = aligned.to(self.dtype).contiguous(memory_format=torch.channels_last)
        result = self._forward(aligned, codes.float())[..., :height, :width]
        if self.dtype == torch.float16 and not result.isfinite().all():  # a style of large numbers
            return self._careful(photos, codes)  # type: ignore[no-any-return]
        return result

    def _forward(self, aligned: Tensor, codes: Tensor) -> Tensor:
        return self.network.stylize_aligned(aligned, codes)


class CompiledRunner(WholeRunner):
    """The compiled network.

    Compiled once with sides and batch size left open, which covers every size; only batches of
    one are a case of their own. Whatever else would have to be compiled later runs uncompiled: no
    picture waits for a compiler.
    """

    def __init__(self, network: StyleNetwork, dtype: torch.dtype) -> None:
        super().__init__(network, dtype)
        self._compiled = torch.compile(self.network.stylize_aligned, dynamic=True)
        with torch.inference_mode():
            device = next(network.parameters()).device
            for pictures in (1, 2):
                sample = torch.rand(pictures, 3, 128, 96, device=device).to(dtype)
                codes = torch.rand(pictures, network.config.code_size, device=device)
                self._compiled(sample.contiguous(memory_format=torch.channels_last), codes)

    def _forward(self, aligned: Tensor, codes: Tensor) -> Tensor:
        with torch.compiler.set_stance("eager_on_recompile"):
            result: Tensor = self._compiled(aligned, codes)
        return result
