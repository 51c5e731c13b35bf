"""Dead-leaves pictures: content for training where there are no photos.

Opaque shapes of every size fall on each other until the ground is covered (Matheron 1968; Lee,
Mumford and Huang 2001). With radii after a power law the pictures share the edges, the occlusions
and the spectra of natural ones.
"""

import math
import random

from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from model.pictures.levels import to_tensor
from model.training.crops import random_at

SMALLEST_RADIUS = 0.02  # of the side
LARGEST_RADIUS = 0.5
LEAVES = 260  # enough that next to no ground is left


def draw_leaves(size: int, seed: int, position: int) -> Image.Image:
    """A dead-leaves picture of ``size`` px a side: a function of seed and position alone."""
    rng = random_at(seed, "leaves", position)
    palette = [_draw_colour(rng) for _ in range(rng.randint(3, 9))]
    scale = 2  # drawn larger and reduced: smooth edges
    canvas = Image.new("RGB", (size * scale, size * scale), palette[0])
    pen = ImageDraw.Draw(canvas)
    for _ in range(LEAVES):
        # Uniform in 1/r: density ~ r^-2. Natural pictures are nearer to r^-3, but then few leaves
        # cover little ground.
        low, high = 1 / LARGEST_RADIUS, 1 / SMALLEST_RADIUS
        radius = size * scale / (low + rng.random() * (high - low))
        x, y = (rng.uniform(-0.1, 1.1) * size * scale for _ in range(2))
        jitter = rng.gauss(0, 14)
        red, green, blue = (
            min(255, max(0, round(c + jitter + rng.gauss(0, 6)))) for c in rng.choice(palette)
        )
        corners = rng.choice((3, 4, 5, 24, 24))
        turn, stretch = rng.random() * math.tau, rng.uniform(0.4, 1)
        outline = []
        for corner in range(corners):
            angle = math.tau * corner / corners
            u, v = radius * math.cos(angle), radius * stretch * math.sin(angle)
            outline.append(
                (
                    x + u * math.cos(turn) - v * math.sin(turn),
                    y + u * math.sin(turn) + v * math.cos(turn),
                )
            )
        pen.polygon(outline, fill=(red, green, blue))
    light = Image.linear_gradient("L").rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR)
    light = light.resize(canvas.size, box=(38, 38, 218, 218))  # within the turned square
    light = light.point(lambda level: 150 + level * 105 // 255)
    canvas = Image.composite(canvas, Image.new("RGB", canvas.size), light)
    canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))
    return canvas.resize((size, size), Image.Resampling.BOX)


def _draw_colour(rng: random.Random) -> tuple[int, int, int]:
    # Natural colours are mostly greyish: a common level and small differences.
    level = rng.uniform(20, 235)
    red, green, blue = (min(255, max(0, round(level + rng.gauss(0, 32)))) for _ in range(3))
    return red, green, blue


class LeavesCrops:
    """Dead-leaves pictures as `model.training.crops.PhotoCrops` gives photos."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self.seed = seed

    def crop(self, position: int) -> Tensor:
        """(3, size, size) in [0, 1]."""
        return to_tensor(draw_leaves(self.size, self.seed, position))
