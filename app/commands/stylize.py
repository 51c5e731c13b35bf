"""``pastiche stylize``: photos in, pictures out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from app.commands.blends import parse_blend
from app.commands.common import (
    DataDir,
    Device,
    WeightsDir,
    error_console,
    open_stylizer,
    reason,
    weights_folder,
)
from app.commands.conversions import Conversion, chosen_suffix, plan, refuse_overwriting
from model.storage.files import disk_is_full
from model.styles.options import STROKE_SIZE

if TYPE_CHECKING:
    from model.inference.look import Look
    from model.inference.stylizer import Stylizer
    from model.pictures.limits import PictureLimits

MAX_PIXELS = 400_000_000  # some 6 GB of memory and 40 GB of temporary files


class Precision(StrEnum):
    """What the network computes in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Tiles(StrEnum):
    """How pictures are stylized that are too large to be stylized whole."""

    EXACT = "exact"
    QUICK = "quick"


def stylize(
    photos: Annotated[
        list[str],
        typer.Argument(help="Photos, folders of photos, or patterns.", show_default=False),
    ],
    style: Annotated[str | None, typer.Option(help="A style's id; see `pastiche styles`.")] = None,
    mix: Annotated[
        str | None, typer.Option(help="A blend, such as starry-night=0.6,great-wave=0.4.")
    ] = None,
    style_image: Annotated[
        list[str] | None,
        typer.Option(
            help="A picture whose style is predicted, such as painting.jpg or painting.jpg=0.4; "
            "several times for a blend, also beside --style or --mix.",
            show_default=False,
        ),
    ] = None,
    stroke_size: Annotated[
        int,
        typer.Option(
            min=STROKE_SIZE.lowest,
            max=STROKE_SIZE.highest,
            help="Shorter side, in px, to look at these pictures: large, large strokes.",
        ),
    ] = STROKE_SIZE.default,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file, or a folder; by default beside the photo."),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="From 0 (the photo) to 1 (the full style).")
    ] = 1.0,
    preserve_color: Annotated[
        bool, typer.Option("--preserve-color", help="Keep the photo's colours.")
    ] = False,
    max_side: Annotated[
        int | None, typer.Option(min=1, help="Shrink to this longer side, in pixels.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="png, jpeg or webp; by default as the output.")
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP.")] = 92,
    precision: Annotated[
        Precision, typer.Option(help="auto: the fastest that agrees with float32.")
    ] = Precision.FLOAT32,
    tiles: Annotated[
        Tiles, typer.Option(help="Of large photos: exact, or quick with approximate contrasts.")
    ] = Tiles.EXACT,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    device: Device = "auto",
    weights: WeightsDir = None,
    data: DataDir = None,
) -> None:
    """Stylize photos: one style, or a blend of several, learned or predicted from pictures."""
    blend = parse_blend(style, mix, style_image or [])
    if not 0 <= strength <= 1:  # NaN passes a range that is checked from below and above
        raise typer.BadParameter("must be from 0 to 1", param_hint="--strength")
    suffix = chosen_suffix(format_, output)
    conversions = plan(photos, output, suffix, blend.name)
    if not force:
        refuse_overwriting(conversions)

    from model.inference.device import choose_cpu_dtype
    from model.inference.look import Look
    from model.styles.prediction import open_predictor

    stylizer, library = open_stylizer(device, weights, data)
    blend.check_known(library)
    rows = []
    if blend.pictures:
        dtype = choose_cpu_dtype(precision)
        predictor = open_predictor(weights_folder(weights), stylizer.fingerprint, dtype)
        rows = blend.predict(predictor, stroke_size)
    for path in stylizer.fast_paths(precision, compiled=False):
        stylizer.use_fast_path(path)
    look = Look(library.mix(blend.shares, rows), strength, preserve_color)
    console = error_console()
    failures = 0
    with progress_bar(console, len(conversions)) as tell, any_size() as limits:
        for index, conversion in enumerate(conversions):

            def follow(share: float, done: int = index) -> None:
                tell(done + share)

            try:
                follow(0.0)
                treatment = Treatment(stylizer, look, limits, max_side, quality, tiles)
                treatment.render(conversion, follow)
            except (ValueError, OSError, MemoryError) as error:
                failures += 1
                console.print(f"pastiche: {conversion.source}: {reason(error)}", markup=False)
                if disk_is_full(error):  # the others would fail as well, after minutes of work
                    tell_what_is_left(console, conversions[index:])
                    break
            else:
                typer.echo(conversion.target)
    if failures:
        raise typer.Exit(1)


def tell_what_is_left(console: Console, left: list[Conversion]) -> None:
    """Name the photos that are still to be done; what is done was named as it was written."""
    if len(left) > 1:
        console.print(f"{len(left)} photos are not done:")
        for conversion in left:
            console.print(f"  {conversion.source}", markup=False)


@contextmanager
def progress_bar(console: Console, photos: int) -> Iterator[Callable[[float], None]]:
    """Shows how many photos are done, parts of them included, where there is a terminal."""
    hidden = not console.is_terminal
    with Progress(console=console, disable=hidden, transient=photos == 1) as progress:
        task = progress.add_task("Stylizing", total=photos)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def any_size() -> Iterator["PictureLimits"]:
    """Limits for photos of one's own: memory and disk. Pillow's own is lifted meanwhile."""
    from PIL import Image

    from model.pictures.limits import PictureLimits

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield PictureLimits(MAX_PIXELS)
    finally:
        Image.MAX_IMAGE_PIXELS = before


@dataclass(frozen=True)
class Treatment:
    """How photos become pictures.

    Parameters
    ----------
    max_side
        Longer side in px to shrink to; none, the photo's own.
    quality
        Of JPEG and WebP.
    tiles
        "exact" or "quick".
    """

    stylizer: "Stylizer"
    look: "Look"
    limits: "PictureLimits"
    max_side: int | None
    quality: int
    tiles: Tiles

    def render(self, conversion: Conversion, progress: Callable[[float], None]) -> None:
        """One photo; the largest take 10 bytes a pixel here, so nothing is held for long."""
        from model.pictures.picture import FORMATS_BY_SUFFIX, encode_picture, load_picture
        from model.storage.files import write_atomically

        picture = load_picture(conversion.source, self.limits, self.max_side)
        picture = self.stylizer.stylize(picture, self.look, self.tiles.value, progress)
        format = FORMATS_BY_SUFFIX[conversion.target.suffix.lower()]
        encoded = encode_picture(picture.rgb, format, self.quality, picture.alpha)
        conversion.target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(conversion.target, encoded)
