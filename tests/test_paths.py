"""Fast paths are used only where they agree with float32."""

import logging
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference import device
from model.inference import paths as fastpath
from model.inference.device import choose_cpu_dtype, choose_dtype
from model.inference.look import Look
from model.inference.paths import FastPath, StreamedRunner, agreement, checked_paths
from model.inference.streamed.network import Follow
from model.inference.stylizer import Stylizer
from model.inference.whole import CompiledRunner, WholeRunner
from model.network.network import StyleNetwork
from model.network.weights import Weights
from model.storage.assets import asset_folder
from model.styles.library import StyleLibrary

CPU = torch.device("cpu")


@pytest.fixture
def exact(small_weights: Weights) -> StreamedRunner:
    return StreamedRunner(small_weights.network, torch.float32)


class Wrong:
    """Right, but for pictures of an odd width."""

    def __init__(self, network: StyleNetwork, dtype: torch.dtype = torch.float32) -> None:
        self._right = StreamedRunner(network, dtype)

    def __call__(self, photos: Tensor, codes: Tensor, progress: Follow) -> Tensor:
        result = self._right(photos, codes, progress)
        return result if photos.shape[3] % 2 == 0 else result.flip(3)


def test_agreement_finds_what_is_wrong_at_some_sizes(
    small_weights: Weights, exact: StreamedRunner
) -> None:
    network, original = small_weights.network, small_weights.original
    assert agreement(exact, exact, network, original).mean_levels == 0
    half = agreement(StreamedRunner(network, torch.bfloat16), exact, network, original)
    assert half.close
    assert half.mean_levels > 0
    assert not agreement(Wrong(network), exact, network, original).close


def test_what_is_not_finite_does_not_agree(small_weights: Weights, exact: StreamedRunner) -> None:
    def broken(photos: Tensor, *_: object) -> Tensor:
        return torch.full_like(photos, torch.nan)

    assert not agreement(broken, exact, small_weights.network, small_weights.original).close


def test_paths_that_fail_or_disagree_are_left_out_with_a_log_line(
    small_weights: Weights,
    exact: StreamedRunner,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = small_weights.network

    def no_compiler() -> FastPath:
        raise RuntimeError("no compiler found\nmuch more")

    def paths(*_: object) -> Iterator[object]:
        yield no_compiler
        yield lambda: FastPath("wrong", Wrong(network))
        yield lambda: FastPath("good", StreamedRunner(network, torch.bfloat16))

    monkeypatch.setattr(fastpath, "fast_paths", paths)
    with caplog.at_level(logging.INFO, "pastiche.fastpath"):
        found = list(checked_paths(network, small_weights.original, exact, torch.bfloat16, True))
    assert [path.name for path in found] == ["good"]
    assert "no compiler found" in caplog.messages[0]
    assert "much more" not in caplog.text
    assert "wrong is left out" in caplog.messages[1]


def test_types_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_dtype("float32", CPU) is torch.float32
    assert choose_dtype("bfloat16", CPU) is torch.bfloat16
    for name in ("float16", "int8"):
        with pytest.raises(ValueError, match=name):
            choose_dtype(name, CPU)
    able, unable = {"avx512_bf16": True}, {"avx2": True}
    for has, faster, wanted in (
        (able, True, torch.bfloat16),
        (able, False, torch.float32),
        (unable, True, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has)
        monkeypatch.setattr(device, "bfloat16_is_faster", lambda faster=faster: faster)
        assert choose_dtype("auto", CPU) is wanted
        # What runs on the CPU beside a GPU's network, such as the predictor.
        assert choose_cpu_dtype("auto") is wanted
        assert choose_cpu_dtype("float16") is wanted
        assert choose_cpu_dtype("float32") is torch.float32


def test_a_processor_without_bfloat16_keeps_float32(small_weights: Weights) -> None:
    assert list(Stylizer(small_weights).fast_paths("float32")) == []


def test_the_shipped_network_in_bfloat16_agrees_and_strength_zero_stays_exact() -> None:
    stylizer = Stylizer.load(asset_folder("weights"), "cpu")
    (path,) = stylizer.fast_paths("bfloat16")
    stylizer.use_fast_path(path)
    photos = torch.rand(2, 3, 30, 41)
    looks = [Look(stylizer.original, 0.0), Look(stylizer.original)]
    assert torch.equal(stylizer.stylize_batch(photos, looks)[0], photos[0])


@pytest.mark.parametrize("size", [(64, 64), (41, 30)])
def test_plain_pictures_are_plain_in_half_precision(
    small_weights: Weights, size: tuple[int, int]
) -> None:
    stylizer = Stylizer(small_weights)
    for runner in (
        StreamedRunner(small_weights.network, torch.bfloat16),
        WholeRunner(small_weights.network, torch.bfloat16),
    ):
        stylizer.use_fast_path(FastPath("half", runner))
        grey = torch.full((1, 3, *size), 0.5)
        grey[0, :, 7, 9] += 1 / 255  # what is all but plain is plain around it
        out = stylizer.stylize_batch(grey, [Look(stylizer.original)])
        assert float(out[0, :, -4:, -4:].std(dim=(1, 2)).max()) < 1 / 255


@pytest.mark.parametrize("cells", [3, 12, 60])
@torch.inference_mode()
def test_smooth_photos_keep_to_float32_with_the_shipped_network(cells: int) -> None:
    folder = asset_folder("weights")
    stylizer = Stylizer.load(folder, "cpu")
    library = StyleLibrary(folder / "styles", stylizer.fingerprint)
    look = Look(library.mix({"floral-textile": 1.0}))  # which suffers most
    coarse = torch.rand(1, 3, cells, cells, generator=torch.Generator().manual_seed(1))
    photo = F.interpolate(coarse, (160, 208), mode="bicubic").clamp(0, 1)
    exact = stylizer.stylize_batch(photo, [look])
    (path,) = stylizer.fast_paths("bfloat16")
    stylizer.use_fast_path(path)
    difference = 255 * (stylizer.stylize_batch(photo, [look]) - exact)
    assert difference.abs().mean() < fastpath.MAX_MEAN_LEVELS
    psnr = 10 * (255**2 / difference.square().mean().clamp(min=1e-9)).log10()
    assert psnr > fastpath.MIN_PSNR_DB


@torch.inference_mode()
def test_the_whole_network_agrees_in_half_precision(
    small_weights: Weights, exact: StreamedRunner
) -> None:
    network, original = small_weights.network, small_weights.original
    assert agreement(WholeRunner(network, torch.bfloat16), exact, network, original).close


@torch.inference_mode()
def test_a_batch_in_several_passes_is_each_picture_alone(
    small_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastpath, "PASS_PIXELS", 2 * 40 * 32 + 7)  # two pictures at a time
    runner = StreamedRunner(small_weights.network, torch.float32)
    photos = torch.rand(5, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    codes = small_weights.original * torch.linspace(0.8, 1.2, 5)[:, None]
    told: list[float] = []
    together = runner(photos, codes, told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    for i, picture in enumerate(together):
        alone = runner(photos[i : i + 1], codes[i : i + 1], lambda _: None)[0]
        assert torch.allclose(picture, alone, atol=1e-4)


@torch.inference_mode()
def test_a_style_too_large_for_float16_is_done_in_float32(small_weights: Weights) -> None:
    generator = torch.Generator().manual_seed(0)
    photos = torch.rand(1, 3, 30, 41, generator=generator)  # no multiples of 4: padded, cropped
    codes = small_weights.original[None] * 1e6
    out = WholeRunner(small_weights.network, torch.float16)(photos, codes, lambda _: None)
    assert torch.equal(out, small_weights.network(photos, codes))


def test_a_compiler_is_stood_in_for(
    small_weights: Weights, exact: StreamedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def no_compiler(function: object, **options: object) -> object:
        compiled.append(options)
        return function

    monkeypatch.setattr(torch, "compile", no_compiler)
    runner = CompiledRunner(small_weights.network, torch.bfloat16)
    assert compiled == [{"dynamic": True}]
    assert agreement(runner, exact, small_weights.network, small_weights.original).close


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_paths_agree_however_often_a_shape_comes(small_weights: Weights) -> None:
    stylizer = Stylizer(small_weights, torch.device("cuda"))
    names = []
    for path in stylizer.fast_paths():
        names.append(path.name)
        stylizer.use_fast_path(path)
    assert any("compiled" in name for name in names)
    photos = torch.rand(2, 3, 64, 96)
    looks = [Look(stylizer.original.cpu()), Look(stylizer.original.cpu() * 0.9, 0.5)]
    first = stylizer.stylize_batch(photos, looks)
    for _ in range(6):
        again = stylizer.stylize_batch(photos, looks)
    assert (again - first).abs().max() < 2 / 255
    others = stylizer.stylize_batch(photos.flip(0), looks[::-1])
    assert (others.flip(0) - first).abs().max() < 2 / 255
