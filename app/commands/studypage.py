"""What `pastiche study normalization` found, as part of a page: tables, curves, contact sheets."""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image, ImageDraw

from model.pictures.picture import encode_picture
from model.storage.files import write_atomically
from model.study.study import summarize
from model.study.variants import BASE, KINDS, POOLINGS, RESAMPLINGS

BEGIN = "<!-- results: begin (pastiche study normalization --page writes what is between) -->"
END = "<!-- results: end -->"

NORM_TITLES = {
    "instance": "instance",
    "batch": "batch",
    "layer": "layer",
    "group": "group",
    "lrn-across": "local response, across channels, alone",
    "lrn-within": "local response, within a channel, alone",
    "conditional-lrn-across": "local response, across channels, with gamma and beta",
    "conditional-lrn-within": "local response, within a channel, with gamma and beta",
}
RESAMPLING_TITLES = {
    BASE: "strided convolutions, nearest-neighbour enlargement",
    "pooled": "max pooling, nearest-neighbour enlargement",
    "unpooled": "max pooling, max unpooling",
}
POOLING_TITLES = {
    BASE: "average",
    "max": "max",
    "stochastic": "stochastic",
    "global": "average; content by global average",
}
OPTION_TITLES = (  # of the contact sheet
    RESAMPLING_TITLES
    | {name: f"loss network's pooling: {title}" for name, title in POOLING_TITLES.items()}
    | {BASE: "the recipe's own"}
)
LOSSES = ("content", "style")
LABEL = 15  # px of a line of text on a contact sheet

Runs = dict[str, list[dict[str, Any]]]


def write_page(page: Path, output: Path, record: Mapping[str, Any]) -> None:
    """Write the results between the page's two marks, the pictures into a folder of its name.

    Parameters
    ----------
    page
        A Markdown file with both marks.
    output
        The study's folder.
    record
        The study's ``study.json``.

    Raises
    ------
    ValueError
        The page has not both marks.
    """
    head, tail = split_page(page)
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    runs = collect_runs(record)
    draw_curves(runs, folder / "curves.webp")
    sheets = {"sheet": KINDS, "options": (*RESAMPLINGS, *POOLINGS[1:])}
    for name, rows in sheets.items():
        titles = NORM_TITLES if name == "sheet" else OPTION_TITLES
        sheet = render_sheet(output / "pictures", {row: titles[row] for row in rows})
        write_atomically(folder / f"{name}.webp", encode_picture(sheet, "webp", 70))
    where = os.path.relpath(folder, page.parent)
    parts = "\n".join(to_markdown(record, runs, where))
    write_atomically(page, f"{head}{BEGIN}\n\n{parts}\n{END}{tail}".encode())


def check_page(page: Path) -> None:
    """See that the page can be written, before hours are spent on what it is to say.

    Raises
    ------
    ValueError
        It has not both marks, or what draws the curves is not installed.
    """
    split_page(page)
    if find_spec("matplotlib") is None:
        raise ValueError("matplotlib is needed for the curves: pip install 'pastiche[study]'")


def split_page(page: Path) -> tuple[str, str]:
    """The page before the first mark and after the second."""
    head, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no lines {BEGIN} and {END}")
    return head, tail


def collect_runs(record: Mapping[str, Any]) -> Runs:
    """The runs of each variant, those that failed left out."""
    runs: Runs = {}
    for key, figures in record["runs"].items():
        name, _, _ = key.rpartition("/")
        runs.setdefault(name, [])
        if "failed" not in figures:
            runs[name].append(figures)
    return runs


def to_markdown(record: Mapping[str, Any], runs: Runs, where: str) -> list[str]:
    """The results as lines of Markdown; pictures are in the folder ``where``."""
    common, seconds = record["common"], record["seconds"]
    cost = training_cost(seconds)
    seeds = max((len(found) for found in runs.values()), default=0)
    lines = [
        f"Networks of {common['channels']} channels and {common['residual_blocks']} residual "
        f"blocks, trained for {common['steps']} steps of {common['batch_size']} crops of "
        f"{common['photo_size']} px, style weight {common['style_weight']:g}, on "
        f"{len(common['styles'])} styles ({', '.join(common['styles'])}), {seeds} seeds, "
        f"under {common['loss_network']}. Losses on {common['judged']} held-out photos, relative "
        "(0 is a perfect match): mean over styles and seeds, in brackets the lowest and "
        f"highest seed. {record['machine']}, torch {record['torch']}.",
        "",
        f"| normalization | content | style | {cost} "
        "| batch dependence, training | batch dependence, inference |",
        "| --- " * 6 + "|",
    ]
    for kind in KINDS:
        lines += row(NORM_TITLES[kind], runs.get(kind), (*LOSSES, seconds), levels=True)
    base = runs.get(BASE)
    if base:
        untouched = mean(summarize(base)["photo_style"])
        lines += ["", f"The photos themselves: content 0, style {untouched:.2f}."]
    lines += [
        "",
        "Batch dependence is the mean difference, in levels of 255, between a photo's picture made "
        "alone and made in a batch of four.",
        "",
        f"![Loss over steps]({where}/curves.webp)",
        "",
        f"![One photo under each normalization]({where}/sheet.webp)",
        "",
        f"| down and up | content | style | {cost} |",
        "| --- " * 4 + "|",
    ]
    for name in RESAMPLINGS:
        lines += row(RESAMPLING_TITLES[name], runs.get(name), (*LOSSES, seconds))
    if any(name in runs for name in POOLINGS[1:]):
        lines += [
            "",
            "| pooling of the loss network in training | content, average-pooling judge | style "
            f"| content, max-pooling judge | style | {cost} |",
            "| --- " * 6 + "|",
        ]
        for name in POOLINGS:
            lines += row(
                POOLING_TITLES[name],
                runs.get(name),
                (*LOSSES, "content-max", "style-max", seconds),
            )
    lines += ["", f"![One photo under each of these]({where}/options.webp)", ""]
    return lines + compare_singles(common["styles"], runs, seconds)


def row(
    title: str,
    runs: Sequence[Mapping[str, Any]] | None,
    columns: Sequence[str],
    levels: bool = False,
) -> list[str]:
    """A line of a table, or none where nothing was run."""
    if runs is None:
        return []
    if not runs:
        return [f"| {title} | did not train" + " |" * (len(columns) + 2 * levels)]
    found = summarize(runs)
    if "losses-max" in runs[0]:
        other = summarize(runs, "max")
        found |= {f"{name}-max": other[name] for name in ("content", "style")}
    cells = [
        f"{mean(found[name]):.0f}" if name.endswith("seconds") else spread(found[name])
        for name in columns
    ]
    if levels:
        cells += [f"{mean(found[name]):.2f}" for name in ("batch_levels", "batch_levels_inference")]
    return [f"| {title} | " + " | ".join(cells) + " |"]


def training_cost(seconds: str) -> str:
    """A column's title, by the name of its figures."""
    return f"{seconds.replace('_', ' ')} of training"


def spread(values: Sequence[float]) -> str:
    """Mean, and where there are several, the lowest and the highest."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def compare_singles(styles: Sequence[str], runs: Runs, seconds: str) -> list[str]:
    """One network of all styles against a network each; the first seed of both."""
    singles = [runs[f"single-{id_}"][0] for id_ in styles if runs.get(f"single-{id_}")]
    if len(singles) < len(styles) or not runs.get(BASE):
        return []
    together = runs[BASE][0]

    def losses(found: Sequence[Mapping[str, float]]) -> str:
        return " | ".join(f"{mean(f[name] for f in found):.3f}" for name in ("content", "style"))

    alone = [run["losses-average"][id_] for id_, run in zip(styles, singles, strict=True)]
    lines = [
        f"| | numbers to store | as float32 | {training_cost(seconds)} "
        "| seconds for one photo in every style | content | style |",
        "| --- " * 7 + "|",
    ]
    for title, found, cells in (
        (f"{len(styles)} networks of one style", singles, losses(alone)),
        (
            f"one network of {len(styles)} styles",
            [together],
            losses(list(together["losses-average"].values())),
        ),
    ):
        numbers = sum(run["parameters"] for run in found)
        lines.append(
            f"| {title} | {numbers:,} | {numbers * 4 / 1e6:.2f} MB "
            f"| {sum(run[seconds] for run in found):.0f} "
            f"| {sum(run['stylize_s'] for run in found):.3f} | {cells} |"
        )
    return [*lines, ""]


def draw_curves(runs: Runs, path: Path) -> None:
    """Content and style loss over steps: the mean of a kind's seeds, and their range."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    for kind in KINDS:
        curves = [run["curve"] for run in runs.get(kind, [])]
        if not curves:
            continue
        steps = [point[0] for point in curves[0]]
        for index, panel in enumerate(panels, 1):
            values = [[point[index] for point in curve] for curve in curves]
            columns = list(zip(*values, strict=True))
            (line,) = panel.plot(steps, [mean(c) for c in columns], label=NORM_TITLES[kind])
            low, high = [min(c) for c in columns], [max(c) for c in columns]
            panel.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    for panel, name in zip(panels, ("content loss", "style loss"), strict=True):
        panel.set(xlabel="steps", ylabel=name)
        panel.grid(alpha=0.3, which="both")
    panels[1].set_yscale("log")
    if runs:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=100)


def render_sheet(pictures: Path, titles: Mapping[str, str]) -> Image.Image:
    """A row per variant: the photo, and the photo in every style of the network."""
    with Image.open(pictures / "photo.png") as file:
        photo = file.convert("RGB")
    strips = []
    for name, title in titles.items():
        path = pictures / f"{name}.png"
        if path.exists():
            with Image.open(path) as file:
                strips.append((title, file.convert("RGB")))
    side = photo.height
    width = photo.width + max((strip.width for _, strip in strips), default=0)
    sheet = Image.new("RGB", (width, max(1, len(strips)) * (side + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, strip) in enumerate(strips):
        top = index * (side + LABEL)
        draw.text((3, top + 1), title, fill="black")
        sheet.paste(photo, (0, top + LABEL))
        sheet.paste(strip, (photo.width, top + LABEL))
    return sheet
