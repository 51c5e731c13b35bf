"""The portable file of a style: one row and its description, checked."""

from pathlib import Path

from model.storage.files import write_atomically
from model.storage.tensorfile import DamagedFileError, pack_tensors, unpack_tensors
from model.styles.style import DamagedStyleError, Style, StyleError, clean_text, clean_title

STYLE_FORMAT = "pastiche-style/1"
MAX_STYLE_FILE_BYTES = 1_000_000
MAX_HEADER_BYTES = 65_536  # title, artist and the training's account have one or two thousand

_TEXTS = ("format", "id", "title", "artist", "year", "attribution", "created", "network")


def pack_style(style: Style) -> bytes:
    """A style as the bytes of its portable file."""
    metadata = {
        "format": STYLE_FORMAT,
        "id": style.id,
        "title": style.title,
        "artist": style.artist,
        "year": style.year,
        "attribution": style.attribution,
        "kind": style.kind,
        "created": style.created,
        "network": style.network,
        "training": dict(style.training),
    }
    return pack_tensors({"code": style.code.float()}, metadata)


def read_style(data: bytes) -> Style:
    """A style from untrusted bytes.

    Raises
    ------
    DamagedStyleError
        Not a style file, truncated, altered, not finite, or with improper metadata.
    """
    if len(data) > MAX_STYLE_FILE_BYTES:
        raise DamagedStyleError(f"a style file has at most {MAX_STYLE_FILE_BYTES} bytes")
    try:
        tensors, metadata = unpack_tensors(data, max_header_bytes=MAX_HEADER_BYTES)
    except DamagedFileError as error:
        raise DamagedStyleError(f"damaged style file: {error}") from error
    texts = {key: metadata.get(key, "") for key in _TEXTS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise DamagedStyleError("damaged style file: metadata of the wrong type")
    if texts.pop("format") != STYLE_FORMAT or set(tensors) != {"code"}:
        raise DamagedStyleError(f"damaged style file: not {STYLE_FORMAT}")
    kind, training = metadata.get("kind"), metadata.get("training", {})
    if kind not in ("built-in", "custom") or not isinstance(training, dict):
        raise DamagedStyleError("damaged style file: metadata of the wrong type")
    try:
        texts["title"] = clean_title(texts["title"])
        for key in ("artist", "year", "attribution", "created", "network"):
            texts[key] = clean_text(texts[key], key)
        return Style(code=tensors["code"].float(), kind=kind, training=training, **texts)
    except StyleError as error:
        raise DamagedStyleError(f"damaged style file: {error}") from error


def load_style(path: Path) -> Style:
    """A style from disk; see `read_style`. OSErrors pass."""
    return read_style(path.read_bytes())


def save_style(style: Style, path: Path) -> None:
    """Write a style's file, whole or not at all."""
    write_atomically(path, pack_style(style))
