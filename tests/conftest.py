"""Small networks, small pictures, small libraries."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.network.code import default_codes
from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.network.weights import Weights, load_weights, save_weights
from model.perception.descriptor import MomentDescriptor
from model.perception.encoder import EncoderConfig, load_encoder, save_encoder
from model.styles.predictor import (
    PREDICTOR_FILE,
    PredictorConfig,
    RowPredictor,
    StylePredictor,
    save_predictor,
)
from model.styles.style import Style
from model.styles.style_file import load_style, save_style
from model.training.distillation import EncoderInTraining

SMALL = NetworkConfig(channels=8, residual_blocks=1)
STYLE_IDS = ("amber", "birch", "cobalt")


@pytest.fixture(scope="session")
def small_weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder of a small, untrained network with three styles; do not write to it."""
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    network = StyleNetwork(SMALL)
    rows = default_codes(SMALL, 4)
    rows = rows + 0.5 * torch.randn(rows.shape, generator=generator)
    weights = save_weights(folder / "network.safetensors", network, rows[3], {})
    (folder / "styles").mkdir()
    for id_, row in zip(STYLE_IDS, rows, strict=False):
        style = Style(
            id_, id_.title(), row, weights.fingerprint, "An Artist", "1900", "artist unverified"
        )
        save_style(style, folder / "styles" / f"{id_}.safetensors")
    return folder


@pytest.fixture(scope="session")
def learning_weights_folder(
    small_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small network with a small encoder: all that learning a style needs."""
    folder = tmp_path_factory.mktemp("learning") / "weights"
    shutil.copytree(small_weights_folder, folder)
    torch.manual_seed(7)
    encoder = EncoderInTraining(EncoderConfig((4, 6, 8))).fold()
    save_encoder(folder / "perceptual.safetensors", encoder, {})
    return folder


@pytest.fixture(scope="session")
def predicting_weights_folder(
    learning_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with a predictor of random weights: styles of new pictures work at once."""
    folder = tmp_path_factory.mktemp("predicting") / "weights"
    shutil.copytree(learning_weights_folder, folder)
    network = load_weights(folder / "network.safetensors").fingerprint
    encoder = load_encoder(folder / "perceptual.safetensors")
    rows = torch.stack([load_style(path).code for path in sorted(folder.glob("styles/*"))])
    config = PredictorConfig(projections=6, hidden=16, bottleneck=5)
    descriptor = MomentDescriptor(encoder, config.projections)
    torch.manual_seed(4)
    predicting = RowPredictor(descriptor.size, rows.shape[1], config)
    predicting.fit_scales(descriptor(torch.rand(5, 3, 64, 64)), rows)
    save_predictor(
        folder / PREDICTOR_FILE, StylePredictor(encoder, descriptor, predicting, network)
    )
    return folder


@pytest.fixture
def small_weights(small_weights_folder: Path) -> Weights:
    """The small network, loaded."""
    return load_weights(small_weights_folder / "network.safetensors")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of five photos and two styles, made up; do not write to them."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for folder, count in (("photos", 5), ("styles", 2)):
        (root / folder).mkdir()
        for i in range(count):
            coarse = rng.integers(0, 256, (4 + 4 * i, 6, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((72, 56), Image.Resampling.BICUBIC)
            image.save(root / folder / f"{folder[:-1]}-{i}.png")
    return root
