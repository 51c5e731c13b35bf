"""Two sets of weights beside each other: styles down, photos across, before and after.

    python benchmarks/before_after.py --before old-weights --after weights -o before-after.webp

Six styles on three sample photos, unless others are named.
"""

import argparse
from pathlib import Path

from model.inference.stylizer import Stylizer
from model.pictures.picture import encode_picture
from model.styles.library import StyleLibrary
from model.training.sheets import render_comparison

ROOT = Path(__file__).resolve().parent.parent
STYLES = ("udnie", "great-wave", "the-scream", "starry-night", "profumo", "floral-textile")
PHOTOS = [
    ROOT / "static" / "samples" / f"{name}.jpg" for name in ("astronaut", "rocket", "chelsea")
]


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="weights folder")
    parser.add_argument("--after", type=Path, default=ROOT / "weights", help="weights folder")
    parser.add_argument("--styles", nargs="+", default=STYLES, metavar="ID")
    parser.add_argument("--photos", type=Path, nargs="+", default=PHOTOS)
    parser.add_argument("--side", type=int, default=512, help="longer side of the photos in px")
    parser.add_argument("--quality", type=int, default=80)
    parser.add_argument("--output", "-o", type=Path, required=True, help="WebP")
    arguments = parser.parse_args()
    networks = {}
    try:
        for name in ("before", "after"):
            folder = getattr(arguments, name)
            stylizer = Stylizer.load(folder, "auto")
            networks[name] = stylizer, StyleLibrary(folder / "styles", stylizer.fingerprint)
        sheet = render_comparison(networks, arguments.styles, arguments.photos, arguments.side)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_bytes(encode_picture(sheet, "webp", arguments.quality))


if __name__ == "__main__":
    main()
