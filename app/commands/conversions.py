"""Which photos become which files; nothing of it is read or written yet."""

import glob
from dataclasses import dataclass
from pathlib import Path

import typer

from app.commands.common import error_console

# A folder may have a dot in its name, but nobody means one by these.
OTHER_PICTURES = {
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".jxl"),
    *(".pdf", ".psd", ".svg", ".tga", ".tif", ".tiff"),
}


@dataclass(frozen=True)
class Conversion:
    """One photo and where its picture goes."""

    source: Path
    target: Path


def chosen_suffix(format_: str | None, output: Path | None) -> str | None:
    """The suffix of results that ``--format`` asks for, checked against the output's own."""
    if format_ is None:
        return None
    known = {"png": ".png", "jpeg": ".jpg", "jpg": ".jpg", "webp": ".webp"}
    suffix = known.get(format_.lower())
    if suffix is None:
        raise typer.BadParameter(f"{format_!r} is not png, jpeg or webp", param_hint="--format")
    if output is not None and output.suffix and not output.is_dir():
        own = known.get(output.suffix.lower().lstrip("."))
        if own is not None and own != suffix:
            raise typer.BadParameter(f"contradicts {output.name}", param_hint="--format")
    return suffix


def plan(
    photos: list[str], output: Path | None, suffix: str | None, label: str
) -> list[Conversion]:
    """Where every photo's picture goes; nothing is read or written yet."""
    from model.pictures.picture import FORMATS_BY_SUFFIX

    sources = find_sources(photos)
    if output is not None and not output.is_dir():
        check_output(output, len(sources))
    to_file = (
        output is not None
        and len(sources) == 1
        and output.suffix.lower() in FORMATS_BY_SUFFIX
        and not output.is_dir()
    )
    conversions = []
    for source, relative in sources:
        kept = source.suffix.lower() if source.suffix.lower() in FORMATS_BY_SUFFIX else ".png"
        if to_file and output is not None:
            target = output
        elif output is not None:
            target = output / relative.with_suffix(suffix or kept)
        else:
            target = source.with_name(f"{source.stem}-{label}{suffix or kept}")
        conversions.append(Conversion(source, target))
    taken: dict[Path, Path] = {}
    for conversion in conversions:
        other = taken.setdefault(conversion.target.resolve(), conversion.source)
        if other is not conversion.source:
            raise typer.BadParameter(
                f"{other} and {conversion.source} would both become {conversion.target}; "
                "stylize them one after the other"
            )
        if conversion.target.resolve() == conversion.source.resolve():
            raise typer.BadParameter(f"{conversion.source} would be replaced by its own picture")
    return conversions


def check_output(output: Path, photos: int) -> None:
    """Refuse an output that looks like a file and could only become a folder of that name."""
    from model.pictures.picture import FORMATS_BY_SUFFIX

    suffix = output.suffix.lower()
    known = ", ".join(sorted(FORMATS_BY_SUFFIX))
    if output.exists():
        if suffix not in FORMATS_BY_SUFFIX or photos > 1:
            raise typer.BadParameter(f"{output} is a file", param_hint="--output")
    elif suffix in FORMATS_BY_SUFFIX:
        if photos > 1:
            raise typer.BadParameter(
                f"{output} is one file for {photos} photos; name a folder", param_hint="--output"
            )
    elif suffix in OTHER_PICTURES:
        raise typer.BadParameter(
            f"{output.name}: cannot write {suffix}; {known} can be written", param_hint="--output"
        )


def find_sources(photos: list[str]) -> list[tuple[Path, Path]]:
    """Every photo with its place below an output folder."""
    from model.training.crops import PHOTO_SUFFIXES

    sources: list[tuple[Path, Path]] = []
    for text in photos:
        path = Path(text)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
            if not inside:
                raise typer.BadParameter(f"there are no photos in {text}")
            sources += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            sources.append((path, Path(path.name)))
        else:  # a pattern that no shell has expanded
            matches = sorted(Path(p) for p in glob.glob(text, recursive=True))  # noqa: PTH207
            if not matches:
                raise typer.BadParameter(f"there is no {text}")
            sources += [(p, Path(p.name)) for p in matches if p.is_file()]
    return sources


def refuse_overwriting(conversions: list[Conversion]) -> None:
    """Stop before any work where a result would replace a file."""
    existing = [conversion.target for conversion in conversions if conversion.target.exists()]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        error_console().print(
            f"pastiche: {existing[0]}{more} exists already; --force overwrites", markup=False
        )
        raise typer.Exit(1)
