"""Sheets of pictures: every style, several strengths, before and after."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.pictures.levels import to_image, to_tensor
from model.pictures.picture import load_picture
from model.styles.library import StyleLibrary

LABEL = 14  # px, the height of a line of text


def render_sheet(
    stylizer: Stylizer, library: StyleLibrary, photos: Sequence[Path], side: int, shown: int
) -> Image.Image:
    """A contact sheet: a row per style, a column per photo, the untouched photos on top.

    Parameters
    ----------
    side
        Longer side in px at which the photos are stylized.
    shown
        Height in px of a picture on the sheet.
    """
    pictures = [load_picture(path).resized(side).rgb for path in photos]
    widths = [round(p.width * shown / p.height) for p in pictures]
    styles = sorted(library, key=lambda style: style.id)
    sheet = Image.new("RGB", (sum(widths), (len(styles) + 1) * (shown + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, style in enumerate([None, *styles]):
        top = row * (shown + LABEL)
        draw.text((3, top + 1), style.id if style else "photo", fill="black")
        left = 0
        for picture, width in zip(pictures, widths, strict=True):
            result = stylizer.stylize_image(picture, Look(style.code)) if style else picture
            small = result.resize((width, shown), Image.Resampling.LANCZOS)
            sheet.paste(small, (left, top + LABEL))
            left += width
    return sheet


def render_strip(
    stylizer: Stylizer, code: Tensor, photo: Path, strengths: Sequence[float], side: int
) -> Image.Image:
    """One photo at several strengths, side by side."""
    picture = load_picture(photo).resized(side).rgb
    batch = to_tensor(picture)[None].expand(len(strengths), -1, -1, -1)
    results = stylizer.stylize_batch(batch, [Look(code, s) for s in strengths])
    return to_image(torch.cat(list(results), dim=2))


def render_comparison(
    networks: Mapping[str, tuple[Stylizer, StyleLibrary]],
    ids: Sequence[str],
    photos: Sequence[Path],
    side: int,
) -> Image.Image:
    """Networks beside one another: a row per style, each photo once per network.

    Parameters
    ----------
    networks
        By what is written over their columns.
    ids
        Of styles that all of them have.
    photos
        Paths.
    side
        Longer side in px at which photos are stylized and shown; none is enlarged.

    Raises
    ------
    ValueError
        A network lacks a style.
    """
    for name, (_, library) in networks.items():
        missing = [id_ for id_ in ids if id_ not in library]
        if missing:
            raise ValueError(f"{name} has no style {', '.join(missing)}")
    pictures = [load_picture(path).resized(side).rgb for path in photos]
    shown = max(picture.height for picture in pictures)
    width = sum(picture.width for picture in pictures) * len(networks)
    sheet = Image.new("RGB", (width, len(ids) * (shown + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, id_ in enumerate(ids):
        top, left = row * (shown + LABEL), 0
        for picture in pictures:
            for name, (stylizer, library) in networks.items():
                draw.text((left + 3, top + 1), f"{id_}, {name}", fill="black")
                pastiche = stylizer.stylize_image(picture, Look(library[id_].code))
                sheet.paste(pastiche, (left, top + LABEL))
                left += picture.width
    return sheet
