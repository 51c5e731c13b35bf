"""Answers that are a picture: their headers, and what OpenAPI says of them."""

from typing import Any

from model.pictures.picture import MEDIA_TYPES

_SHOWN_HEADERS = {
    "X-Picture-Width": ("integer", "Of the picture, in px."),
    "X-Picture-Height": ("integer", "Of the picture, in px."),
    "X-Picture-Shrunk-From": (
        "string",
        "Width and height of the photo, such as 4000x3000; there only where the result is smaller.",
    ),
}


def size_headers(size: tuple[int, int], photo_size: tuple[int, int]) -> dict[str, str]:
    """The headers that say a result's size in px, and whether its photo was shrunk to it."""
    width, height = size
    headers = {"X-Picture-Width": str(width), "X-Picture-Height": str(height)}
    if size != photo_size:
        headers["X-Picture-Shrunk-From"] = f"{photo_size[0]}x{photo_size[1]}"
    return headers


def picture_answer(description: str, **headers: dict[str, Any]) -> dict[str, Any]:
    """A stylized picture as an answer in OpenAPI.

    Parameters
    ----------
    headers
        Further ones, by name with underscores for hyphens.
    """
    binary = {"schema": {"type": "string", "format": "binary"}}
    shown = {
        name: {"schema": {"type": kind}, "description": text}
        for name, (kind, text) in _SHOWN_HEADERS.items()
    }
    further = {name.replace("_", "-"): header for name, header in headers.items()}
    return {
        "description": description,
        "content": dict.fromkeys(MEDIA_TYPES.values(), binary),
        "headers": {"X-Request-Id": {"schema": {"type": "string"}}, **further, **shown},
    }
