"""The normalization study: small networks that differ in one thing, trained alike and judged alike.

A run is a variant and a seed. It gives plain figures and a strip of pictures; nothing else of it is
kept.
"""

import copy
import csv
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from model.inference.device import choose_training_precision
from model.network.network import StyleNetwork
from model.pictures.levels import to_image
from model.study.variants import Material, StudySettings, Variant
from model.training.checkpoint import CURVE_FILE
from model.training.crops import load_validation_batch
from model.training.evaluation import Judge
from model.training.loop import Loop, LoopConfig
from model.training.losses import content_loss
from model.training.many_styles import StyleTask
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import Pooling

CURVE_POINTS = 25
TIMED_PASSES = 5


class Study:
    """Trains and judges single runs.

    Parameters
    ----------
    settings
        What all runs have in common.
    material
        What they learn from.
    judge_poolings
        The runs are judged under a loss network of each of these.
    """

    def __init__(
        self,
        settings: StudySettings,
        material: Material,
        judge_poolings: Sequence[Pooling] = ("average",),
    ) -> None:
        self.settings = settings
        self.material = material
        # The paper's losses and Adam alone: what is compared is the normalization.
        self.recipe = StyleRecipe(
            photo_size=settings.photo_size,
            batch_size=settings.batch_size,
            original_batch=0,
            context=0,
            style_weight=settings.style_weight,
            style_size=2 * settings.photo_size,
            plain_weight=0.0,
            coarse=1.0,
            full_share=1.0,
            stable_batch=0,
            muon_rate=0.0,
            smooth_share=0.03,
            faint_share=0.0,
            seed_share=0.0,
            wall_share=0.0,
        )
        every = max(1, len(material.validation) // settings.judged)
        photos = load_validation_batch(
            material.validation[::every][: settings.judged], settings.photo_size
        )
        self.judges = {
            pooling: Judge(
                photos,
                material.styles,
                # Its own: that of training moves to the device.
                copy.deepcopy(material.loss_networks(pooling, False)),
                self.recipe.objective,
                self.recipe.style_size,
            )
            for pooling in judge_poolings
        }

    def run(self, variant: Variant, seed: int) -> tuple[dict[str, Any], Image.Image | None]:
        """Figures of a run, and its pictures of the sample, one per style; none if it failed.

        Returns
        -------
        figures
            Plain values. ``failed`` alone, with the reason, if the losses became infinite.
        strip
            The sample in every style of the network, side by side.
        """
        styles = dict(self.material.styles)
        if variant.style is not None:
            styles = {variant.style: styles[variant.style]}
        loss_network = self.material.loss_networks(variant.pooling, variant.global_content).eval()
        recipe = replace(self.recipe, network=variant.network, seed=seed)
        device = self.material.device
        task = StyleTask(recipe, styles, self.material.photos, [], loss_network, device)
        # Drawing is what stochastic pooling does in training; styles were measured without it.
        loss_network.train(variant.pooling == "stochastic")
        torch.manual_seed(seed)  # of its draws; every other draw has a generator of its own
        began = time.process_time()
        try:
            curve, seconds = self._train(task)
        except FloatingPointError as error:
            return {"failed": str(error)}, None
        finally:
            loss_network.eval()
        processor_seconds = time.process_time() - began  # others' work does not count in it
        network = task.module.network.requires_grad_(False).eval().cpu()
        codes = task.module.codes.detach()[:-1].cpu()  # (S, P); `original` was not trained
        own = dict(zip(styles, codes, strict=True))
        figures: dict[str, Any] = {"curve": curve}
        figures |= {"seconds": seconds, "processor_seconds": processor_seconds}
        for pooling, judge in self.judges.items():
            figures[f"losses-{pooling}"] = {
                id_: judge_style(judge, network, code, id_) for id_, code in own.items()
            }
        numbers = sum(p.numel() for p in network.parameters()) + codes.numel()
        figures["parameters"] = numbers
        figures["stylize_s"] = time_styles(network, codes, self.material.sample)
        photos = next(iter(self.judges.values())).photos[:4]
        for mode in (True, False):
            name = "batch_levels" if mode else "batch_levels_inference"
            figures[name] = batch_dependence(network, codes, photos, training=mode)
        return figures, render_strip(network, codes, self.material.sample)

    def _train(self, task: StyleTask) -> tuple[list[list[float]], float]:
        """Step, content and style loss along the way, and the seconds it took."""
        steps = self.settings.steps
        config = LoopConfig(
            steps=steps,
            learning_rate=self.settings.learning_rate,
            ema_decay=0,  # an average of weights would not fit batch norm's running averages
            precision=choose_training_precision(torch.device(self.material.device)),
            compile=False,
            device=self.material.device,
            log_every=max(1, steps // CURVE_POINTS),
            validate_every=0,
        )
        with tempfile.TemporaryDirectory() as folder:
            loop = Loop(task, config, Path(folder), {})
            loop.run()
            with (Path(folder) / CURVE_FILE).open(newline="") as file:
                curve = [
                    [float(row[name]) for name in ("step", "content", "style")]
                    for row in csv.DictReader(file)
                ]
        if not all(bool(p.isfinite().all()) for p in task.module.parameters()):
            raise FloatingPointError("weights not finite")
        return curve, loop.seconds


@torch.inference_mode()
def judge_style(judge: Judge, network: StyleNetwork, code: Tensor, id_: str) -> dict[str, float]:
    """Content and style loss, and what the latter is for the photos themselves."""
    pictures = network(judge.photos, code.expand(len(judge.photos), -1))
    features, moments = judge.measure(pictures)
    content = content_loss(features, judge.photo_content).mean().item()
    style = judge.style_losses(moments, id_)[0].mean().item()
    untouched = judge.style_losses(judge.photo_moments, id_)[0].mean().item()
    return {"content": content, "style": style, "photo_style": untouched}


@torch.inference_mode()
def batch_dependence(network: StyleNetwork, codes: Tensor, photos: Tensor, training: bool) -> float:
    """How far a photo's picture alone is from that in a batch: mean difference in levels of 255.

    Parameters
    ----------
    network
        Is left as it is.
    codes
        (S, P), taken in turn.
    photos
        (N, 3, H, W), stylized together and one by one.
    training
        Whether the network is in training mode.
    """
    network = copy.deepcopy(network).train(training)  # running averages move in training mode
    rows = codes[torch.arange(len(photos)) % len(codes)]
    together = network(photos, rows)
    alone = [network(p[None], row[None]) for p, row in zip(photos, rows, strict=True)]
    return float((together - torch.cat(alone)).abs().mean() * 255)


@torch.inference_mode()
def time_styles(network: StyleNetwork, codes: Tensor, sample: Tensor) -> float:
    """Median seconds of a batch of the sample (3, H, W) in every style (S, P)."""
    batch = sample.expand(len(codes), -1, -1, -1)
    taken = []
    for _ in range(TIMED_PASSES + 1):
        began = time.perf_counter()
        network(batch, codes)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


@torch.inference_mode()
def render_strip(network: StyleNetwork, codes: Tensor, sample: Tensor) -> Image.Image:
    """The sample (3, H, W) in every style (S, P), side by side."""
    pictures = network(sample.expand(len(codes), -1, -1, -1), codes)
    return to_image(torch.cat(list(pictures), dim=2))


def summarize(
    runs: Sequence[Mapping[str, Any]], pooling: Pooling = "average"
) -> dict[str, list[float]]:
    """Content and style loss, mean over the styles, and seconds: of each of a variant's runs."""
    losses = [run[f"losses-{pooling}"].values() for run in runs]
    found = {
        name: [statistics.mean(f[name] for f in styles) for styles in losses]
        for name in ("content", "style", "photo_style")
    }
    return found | {
        name: [float(run[name]) for run in runs]
        for name in ("seconds", "processor_seconds", "batch_levels", "batch_levels_inference")
    }
