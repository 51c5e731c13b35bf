"""How a strength between photo and style is best made: of rows, of pictures, or of both.

    python benchmarks/strength.py --data DATA

``DATA`` has ``photos/val``, ``styles``, ``styles-unseen`` and ``vgg19``. Prints, per way and
strength, the means over styles of: content and style loss as `judges.py` takes them, how far
pictures lie outside of photo and full style (levels, pixel by pixel), and their colourfulness
beside that of photo and full style in that proportion.
"""

import argparse
from pathlib import Path
from statistics import mean

import torch
from judges import evenly, vgg19_judge
from timing import table
from torch import Tensor

from model.inference.look import Look
from model.inference.margin import trim, widen
from model.inference.stylizer import Stylizer
from model.network.code import weaken
from model.pictures.picture import load_picture
from model.styles.library import StyleLibrary
from model.styles.predictor import load_predictor
from model.training.crops import find_photos, load_style_pictures, load_validation_batch

ROOT = Path(__file__).resolve().parent.parent
SIZE = 384  # px
STRENGTHS = (0.25, 0.5, 0.75)
WAYS = {"rows": 1.0, "two thirds rows": 2 / 3, "half": 0.5, "one third rows": 1 / 3, "picture": 0.0}
PREDICTED = ("line-of-fire", "in-bed", "view-of-gloucester")
BUILT_IN = ("starry-night", "great-wave", "the-scream", "floral-textile")


def stylize(
    stylizer: Stylizer, photos: Tensor, code: Tensor, way: float, strength: float
) -> Tensor:
    """Photos at a strength, of which such a part is made by the row, the rest by the picture."""
    codes = code.expand(len(photos), -1)
    shares = torch.full((len(photos),), strength**way)
    rows = weaken(codes, shares, stylizer.original, photos, stylizer.config)
    pastiches = trim(stylizer.path.runner(widen(photos), rows, lambda _: None))
    return torch.lerp(photos, pastiches, strength ** (1 - way))


def colorfulness(pictures: Tensor) -> float:
    """Mean difference of the largest and the smallest channel."""
    return float((pictures.amax(1) - pictures.amin(1)).mean())


@torch.inference_mode()
def main() -> None:
    """Measure all ways."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=ROOT / "weights")
    parser.add_argument("--photos", type=int, default=4, help="held-out photos to judge by")
    arguments = parser.parse_args()
    data, folder = arguments.data, arguments.weights
    stylizer = Stylizer.load(folder, "cpu")
    library = StyleLibrary(folder / "styles", stylizer.fingerprint)
    predictor = load_predictor(folder, stylizer.fingerprint)
    works = {
        str(entry["id"]): load_picture(entry["path"]).rgb
        for part in ("styles", "styles-unseen")
        for entry in load_style_pictures(data / part)
    }
    paths = find_photos(data / "photos" / "val")
    photos = load_validation_batch(evenly(paths, arguments.photos), SIZE)
    (vgg,) = (data / "vgg19").glob("*.safetensors")
    judge = vgg19_judge(vgg)
    plain = judge.see(photos)
    for kind, styles in (("predicted", PREDICTED), ("built in", BUILT_IN)):
        found: dict[tuple[str, float], list[tuple[float, ...]]] = {}
        for style in styles:
            code = library[style].code if style in library else predictor.predict(works[style])
            targets = judge.style_targets(works[style])
            full = stylizer.stylize_batch(photos, [Look(code)] * len(photos))
            low, high = torch.minimum(photos, full), torch.maximum(photos, full)
            for name, way in WAYS.items():
                for strength in STRENGTHS:
                    pictures = stylize(stylizer, photos, code, way, strength)
                    seen = judge.see(pictures)
                    ends = [colorfulness(end) for end in (photos, full)]
                    colors = (1 - strength) * ends[0] + strength * ends[1]
                    figures = (
                        judge.content_losses(seen, plain).mean().item(),
                        judge.style_losses(seen, targets).mean(0).min().item(),
                        255 * (pictures - pictures.clamp(low, high)).abs().mean().item(),
                        colorfulness(pictures) / colors,
                    )
                    found.setdefault((name, strength), []).append(figures)
        rows = []
        for name in WAYS:
            cells = [map(mean, zip(*found[name, strength], strict=True)) for strength in STRENGTHS]
            rows.append([name, *("{:.2f} / {:.3f}, {:.1f}, {:.2f}".format(*c) for c in cells)])
        print(f"\n{kind}\n\n{table(['way', *map(str, STRENGTHS)], rows)}", flush=True)


if __name__ == "__main__":
    main()
