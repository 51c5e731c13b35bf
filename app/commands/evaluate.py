"""``pastiche evaluate``: what a network is worth, in figures and in pictures."""

import json
import platform
from dataclasses import asdict
from math import nan
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import WeightsDir, error_console, weights_folder

if TYPE_CHECKING:
    from model.inference.stylizer import Stylizer
    from model.styles.library import StyleLibrary
    from model.training.appearance_judge import AppearanceJudge
    from model.training.evaluation import Report

APPEARANCE_SIZE = 384  # px
BLEND_PAIRS = (
    ("starry-night", "great-wave"),
    ("the-scream", "water-lilies"),
    ("composition-vii", "seaport-etching"),
    ("udnie", "impression-sunrise"),
    ("tableau-1913", "floral-textile"),
    ("red-chalk-drawing", "night-cafe"),
)


def evaluate(
    photos: Annotated[Path, typer.Option(help="Folder of held-out photos.")],
    styles: Annotated[Path, typer.Option(help="Folder of the style pictures.")],
    vgg: Annotated[Path, typer.Option(help="VGG-19's weights, safetensors, torchvision's keys.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")],
    single: Annotated[
        list[Path] | None,
        typer.Option(help="Weights folder of a network of one style, to compare; repeat it."),
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Folder of photos for the contact sheet.")
    ] = None,
    size: Annotated[int, typer.Option(min=64, help="Side of the photos' squares, in px.")] = 192,
    limit: Annotated[int, typer.Option(min=1, help="Use so many photos at most.")] = 100,
    appearance_photos: Annotated[
        int,
        typer.Option(min=0, help=f"Of them, squares of {APPEARANCE_SIZE} px to look at closely."),
    ] = 10,
    weights: WeightsDir = None,
) -> None:
    """Measure a network: losses per style, what one sees, blends, strength 0, distances."""
    from model.pictures.picture import encode_picture
    from model.training.crops import find_photos, load_style_pictures
    from model.training.evaluation import evaluate as measure
    from model.training.objective import Objective
    from model.training.sheets import render_sheet, render_strip
    from model.training.vgg19 import load_vgg19

    stylizer, library = open_network(weights_folder(weights))
    singles = {}
    for folder in single or []:
        other, own = open_network(folder)
        for style in own:
            singles[style.id] = (other, own)
    console = error_console()
    paths = find_photos(photos)[:limit]
    report = measure(
        stylizer,
        library,
        paths,
        {entry["id"]: entry["path"] for entry in load_style_pictures(styles)},
        load_vgg19(vgg, Objective().layers),
        size=size,
        singles=singles,
        blend_pairs=[p for p in BLEND_PAIRS if p[0] in library and p[1] in library],
        appearance=appearance_judge(paths, appearance_photos, vgg),
        on_step=lambda text: console.print(text, markup=False),
    )
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.json").write_text(json.dumps(asdict(report), indent=1) + "\n")
    (output / "report.md").write_text(to_markdown(report))
    if samples is not None:
        # One file per name: a folder may hold thumbnails of its photos.
        paths = list({path.stem: path for path in find_photos(samples)[::-1]}.values())[::-1]
        sheet = render_sheet(stylizer, library, paths, side=512, shown=96)
        (output / "styles.webp").write_bytes(encode_picture(sheet, "webp", 60))
        first = next(iter(library))
        strip = render_strip(stylizer, first.code, paths[0], (0, 0.25, 0.5, 0.75, 1), side=256)
        (output / "strength.webp").write_bytes(encode_picture(strip, "webp", 80))


def appearance_judge(photos: list[Path], count: int, vgg: Path) -> "AppearanceJudge | None":
    """A judge of what one sees on so many of the photos, evenly chosen; of none, no judge."""
    from model.training.appearance import STRUCTURE_LAYER
    from model.training.appearance_judge import AppearanceJudge
    from model.training.crops import load_validation_batch
    from model.training.vgg19 import load_vgg19

    if not count:
        return None
    few = photos[:: max(1, len(photos) // count)][:count]
    network = load_vgg19(vgg, {STRUCTURE_LAYER}, pooling="max")
    return AppearanceJudge(load_validation_batch(few, APPEARANCE_SIZE), network)


def open_network(folder: Path) -> tuple["Stylizer", "StyleLibrary"]:
    """A network and the styles that came with it; the user's own are not what is judged."""
    from model.inference.stylizer import Stylizer
    from model.styles.library import StyleLibrary

    stylizer = Stylizer.load(folder, "cpu")
    return stylizer, StyleLibrary(folder / "styles", stylizer.fingerprint)


def to_markdown(report: "Report") -> str:
    """The figures as tables."""
    import torch

    lines = [
        "# Report",
        "",
        f"{report.photos} held-out photos, centre squares of {report.size} px, VGG-19 losses "
        f"relative to the target (0 is a perfect match); torch {torch.__version__}, "
        f"{platform.machine()}, {torch.get_num_threads()} threads.",
        "",
        "| style | content | style | of the photo itself | plain Gram | of the photo itself |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = sorted(report.styles.items())
    for id_, f in rows:
        lines.append(
            f"| {id_} | {f.content:.3f} | {f.style:.3f} | {f.photo_style:.3f} "
            f"| {f.gram:.3f} | {f.photo_gram:.3f} |"
        )
    means = [
        mean(getattr(f, name) for _, f in rows)
        for name in ("content", "style", "photo_style", "gram", "photo_gram")
    ]
    lines += ["| **mean** | " + " | ".join(f"{value:.3f}" for value in means) + " |", ""]
    lines += appearance_table(report)
    if report.singles:
        lines += [
            "| style | content, alone | together | | style, alone | together | "
            "| plain Gram, alone | together | |",
            "| --- " * 10 + "|",
        ]
        changes: list[tuple[float, ...]] = []
        for id_, alone in sorted(report.singles.items()):
            f = report.styles[id_]
            pairs = [(alone.content, f.content), (alone.style, f.style), (alone.gram, f.gram)]
            changes.append(tuple(b / a - 1 for a, b in pairs))
            line = " | ".join(f"{a:.3f} | {b:.3f} | {b / a - 1:+.1%}" for a, b in pairs)
            lines.append(f"| {id_} | {line} |")
        average = (f" | | {mean(column):+.1%}" for column in zip(*changes, strict=True))
        lines += ["| **mean** |" + " |".join(average) + " |", ""]
    if report.blends:
        lines += ["| blend | towards | 0 | 0.25 | 0.5 | 0.75 | 1 | monotone |", "| --- " * 8 + "|"]
        for blend in report.blends:
            for end, losses in ((blend.first, blend.to_first), (blend.second, blend.to_second)):
                cells = " | ".join(f"{value:.3f}" for value in losses)
                monotone = "yes" if blend.monotone else "no"
                name = f"{blend.first} to {blend.second}"
                lines.append(f"| {name} | {end} | {cells} | {monotone} |")
        lines.append("")
    nearest = ", ".join(f"{a} and {b} {d:.1f}" for d, a, b in report.distances[:5])
    lines += [
        f"The network's own answer at strength 0: PSNR {report.original_psnr:.1f} dB on average.",
        "",
        f"Nearest styles, mean difference in levels of 255: {nearest}.",
        "",
    ]
    return "\n".join(lines)


def appearance_table(report: "Report") -> list[str]:
    """What one sees, by style; nothing where it was not measured."""
    if not report.appearance:
        return []
    lines = [
        f"What one sees, on {report.appearance_photos} photos of {APPEARANCE_SIZE} px: how much "
        "louder grain on a plain square becomes; power at 4 to 6 px against the painting's own; "
        "what is invented on smooth gradients and on night skies, in levels of 255; how much of "
        "the photo's structure is lost (CFSD; 0 is none); how far the edges are from what they "
        "would be inside, in levels of 255.",
        "",
        "| style | grain gain | weave | gradients | night skies | structure | frame |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = sorted(report.appearance.items())
    columns = [
        (a.grain, a.weave, a.gradient, a.night, a.structure, nan if a.frame is None else a.frame)
        for _, a in rows
    ]
    averages = tuple(mean(column) for column in zip(*columns, strict=True))
    highest = tuple(max(column) for column in zip(*columns, strict=True))
    names = [id_ for id_, _ in rows] + ["**mean**", "**highest**"]
    for name, (grain, weave, gradient, night, structure, frame) in zip(
        names, [*columns, averages, highest], strict=True
    ):
        lines.append(
            f"| {name} | {grain:.2f} | {weave:.2f} | {gradient:.1f} | {night:.1f} "
            f"| {structure:.3f} | {frame:.1f} |"
        )
    return [*lines, ""]
