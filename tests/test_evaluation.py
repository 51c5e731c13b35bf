"""The report measures what ships."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.network.weights import Weights
from model.training import evaluation
from model.training.crops import find_photos
from model.training.evaluation import Judge
from model.training.objective import Objective
from model.training.perception import VGG19Features

OBJECTIVE = Objective(("relu1_2",), "relu2_1", pyramid_levels=1)


class Watched(Stylizer):
    """Notes whether autocast was on."""

    autocast = False

    def stylize_batch(self, photos: Tensor, looks: list[Look], *_: object) -> Tensor:  # type: ignore[override]
        self.autocast |= torch.is_autocast_enabled("cpu")
        return super().stylize_batch(photos, looks)


def test_the_stylizer_computes_as_it_ships(
    small_weights: Weights, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "choose_training_precision", lambda _: "bfloat16")
    styles = {path.stem: path for path in find_photos(pictures / "styles")}
    photos = torch.rand(3, 3, 32, 32)
    judge = Judge(photos, styles, VGG19Features(OBJECTIVE.layers), OBJECTIVE, 48, batch_size=2)
    stylizer = Watched(small_weights)
    content, losses = judge.judge(stylizer, Look(stylizer.original), list(styles))
    assert not stylizer.autocast
    assert content > 0
    assert len(losses) == len(styles)
