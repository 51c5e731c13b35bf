"""The style predictor: what it reads, what it answers, its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from learning_helpers import painting_bytes
from PIL import Image

from model.network.weights import load_weights
from model.perception import descriptor as reading
from model.perception.descriptor import MomentDescriptor, middles_of_quarters
from model.perception.encoder import load_encoder
from model.pictures.levels import to_tensor
from model.pictures.picture import read_picture
from model.pictures.style_picture import UnfitPictureError
from model.storage.tensorfile import DamagedFileError
from model.styles.library import StyleLibrary
from model.styles.predictor import (
    CODE_ROOM,
    MAX_PREDICTOR_BYTES,
    PREDICTOR_FILE,
    ForeignPredictorError,
    PredictorConfig,
    RowPredictor,
    StylePredictor,
    load_predictor,
    save_predictor,
)
from model.styles.style import Style

PAINTING = read_picture(painting_bytes()).rgb
CONFIG = PredictorConfig(projections=6, hidden=16, bottleneck=5)
STROKE = 64


@pytest.fixture(scope="module")
def library(learning_weights_folder: Path) -> StyleLibrary:
    network = load_weights(learning_weights_folder / "network.safetensors")
    return StyleLibrary(learning_weights_folder / "styles", network.fingerprint)


@pytest.fixture(scope="module")
def predictor(learning_weights_folder: Path, library: StyleLibrary) -> StylePredictor:
    encoder = load_encoder(learning_weights_folder / "perceptual.safetensors")
    descriptor = MomentDescriptor(encoder, CONFIG.projections)
    rows = torch.stack([style.code for style in library])
    torch.manual_seed(4)
    predicting = RowPredictor(descriptor.size, rows.shape[1], CONFIG)
    seen = descriptor(torch.rand(5, 3, STROKE, STROKE))
    predicting.fit_scales(seen, rows)
    return StylePredictor(encoder, descriptor, predicting, library.network, {"steps": 3})


@pytest.fixture
def folder(learning_weights_folder: Path, predictor: StylePredictor, tmp_path: Path) -> Path:
    """A weights folder with a predictor, to write to."""
    for name in ("network.safetensors", "perceptual.safetensors"):
        (tmp_path / name).write_bytes((learning_weights_folder / name).read_bytes())
    save_predictor(tmp_path / PREDICTOR_FILE, predictor)
    return tmp_path


def odd_pictures() -> dict[str, Image.Image]:
    """Pictures that no painter made."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (100, 130, 3), dtype=np.uint8)
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    spot = np.zeros((90, 70, 3), np.uint8)
    spot[20:40, 20:40] = (255, 0, 0)
    return {
        "painting": PAINTING,
        "noise": Image.fromarray(noise),
        "stripes": Image.fromarray(stripes),
        "spot": Image.fromarray(spot),
        "strip": PAINTING.resize((1000, 64)),
        "grey": PAINTING.convert("L").convert("RGB"),
        "large": PAINTING.resize((1500, 1200)),
    }


@pytest.mark.parametrize("name", odd_pictures())
def test_every_picture_gives_a_row_that_its_library_admits(
    name: str, predictor: StylePredictor, library: StyleLibrary
) -> None:
    code = predictor.predict(odd_pictures()[name], STROKE)
    assert code.shape == next(iter(library)).code.shape
    assert code.dtype == torch.float32
    library.check_import(Style("new", "New", code, library.network))


def test_no_input_leaves_the_bounds(predictor: StylePredictor) -> None:
    wild = 1e6 * torch.randn(8, predictor.descriptor.size)
    offset = (predictor.rows(wild) - predictor.rows.mean_row) / predictor.rows.row_spread
    assert float(offset.abs().max()) <= CODE_ROOM * (1 + 1e-5)


def test_one_colour_is_refused(predictor: StylePredictor) -> None:
    with pytest.raises(UnfitPictureError, match="one colour"):
        predictor.predict(Image.new("RGB", (200, 200), (9, 90, 200)), STROKE)
    with pytest.raises(UnfitPictureError, match="63 x 70"):
        predictor.predict(PAINTING.resize((63, 70)), STROKE)


def test_pictures_and_stroke_sizes_tell_styles_apart(predictor: StylePredictor) -> None:
    one = predictor.predict(PAINTING, STROKE)
    assert torch.equal(one, predictor.predict(PAINTING, STROKE))
    assert not torch.allclose(one, predictor.predict(PAINTING, 2 * STROKE))
    assert not torch.allclose(one, predictor.predict(PAINTING.rotate(180, expand=True), STROKE))


def test_a_descriptor_forgets_places(predictor: StylePredictor) -> None:
    picture = to_tensor(PAINTING.resize((128, 128)))[None]
    turned = torch.cat([picture, picture], 3)  # the same twice: the same moments, but for the seam
    one, two = predictor.descriptor(picture), predictor.descriptor(turned)
    other = predictor.descriptor(torch.rand(1, 3, 128, 128))
    assert (one - two).abs().mean() < 0.2 * (one - other).abs().mean()
    assert bool(predictor.descriptor(torch.zeros(1, 3, 64, 64)).isfinite().all())


def test_of_large_pictures_the_middles_of_the_quarters_are_seen(
    predictor: StylePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = torch.rand(2, 3, 120, 200)
    assert middles_of_quarters(pictures, 24_000) is pictures
    parts = middles_of_quarters(pictures, 6_000)
    corners = ((15, 25), (15, 125), (75, 25), (75, 125))
    wanted = [pictures[:, :, top : top + 30, left : left + 50] for top, left in corners]
    assert torch.equal(parts, torch.cat(wanted))

    whole, other = predictor.descriptor(pictures), predictor.descriptor(pictures**3)
    monkeypatch.setattr(reading, "MOST_PIXELS", 6_000)
    seen: list[int] = []
    hook = predictor.encoder.trunk.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0][:, 0].numel())
    )
    found = predictor.descriptor(pictures)
    hook.remove()
    assert seen == [2 * 6_000, 2 * 6_000, 2 * 1_500]
    # Noise is everywhere the same.
    assert (found - whole).abs().mean() < 0.2 * (found - other).abs().mean()
    alone = torch.cat([predictor.descriptor(picture[None]) for picture in pictures])
    torch.testing.assert_close(found, alone, rtol=1e-3, atol=1e-3)


def test_saved_and_loaded_it_predicts_the_same(folder: Path, predictor: StylePredictor) -> None:
    loaded = load_predictor(folder, predictor.network)
    assert loaded.training == {"steps": 3}
    before, after = (p.predict(PAINTING, STROKE) for p in (predictor, loaded))
    torch.testing.assert_close(after, before, atol=5e-3, rtol=0)  # float16 in the file


def test_a_folder_without_one(learning_weights_folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_predictor(learning_weights_folder, "0" * 16)


def test_one_of_another_network_or_encoder(folder: Path, predictor: StylePredictor) -> None:
    with pytest.raises(ForeignPredictorError, match=predictor.network):
        load_predictor(folder, "0" * 16)
    (folder / "perceptual.safetensors").unlink()  # the shipped one is taken
    with pytest.raises(ForeignPredictorError, match="encoder"):
        load_predictor(folder, predictor.network)


def test_damaged_ones(folder: Path, predictor: StylePredictor) -> None:
    path = folder / PREDICTOR_FILE
    whole = path.read_bytes()
    for data in (
        whole[:-7],
        whole[:-1] + bytes([whole[-1] ^ 1]),
        (folder / "network.safetensors").read_bytes(),
        whole + bytes(MAX_PREDICTOR_BYTES),
    ):
        path.write_bytes(data)
        with pytest.raises(DamagedFileError):
            load_predictor(folder, predictor.network)
