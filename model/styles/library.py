"""Styles on disk: built-in ones, and custom ones that come, change and go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from model.storage.files import quarantine, write_together
from model.styles.catalogue import Catalogue
from model.styles.style import (
    STYLE_ID,
    DamagedStyleError,
    ForeignStyleError,
    Kind,
    OutdatedStyleError,
    Style,
    StyleError,
    UnknownStyleError,
    blend_codes,
    normalize_weights,
)
from model.styles.style_file import load_style, pack_style

ROW_ROOM = 10  # how many times the largest number of the built-in rows a custom row may reach

_Stamp = tuple[int, int, int]  # modification time in ns, size in bytes, the file's own number


def _stamp(path: Path) -> _Stamp:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


class StyleLibrary:
    """The styles of one network: built-in ones, and custom ones in a folder of the user's.

    A damaged custom file is moved to ``quarantine/`` and reported in `problems`; one that belongs
    to another network stays in place and is listed in `foreign`, never used. A custom row is of the
    built-in rows' size and order of magnitude, or counts as damaged. One that was learned
    here keeps a copy of its picture in ``sources/``, to be learned anew for a later network.

    Parameters
    ----------
    built_in
        Folder of ``<id>.safetensors`` and ``<id>.webp`` previews, small pictures of the works in
        ``paintings/``, and their catalogue; never written to.
    network
        Fingerprint of the network in use.
    custom
        The same for custom styles; none, no custom styles.
    """

    def __init__(self, built_in: Path, network: str, custom: Path | None = None) -> None:
        self.built_in = built_in
        self.custom = custom
        self.network = network
        self.catalogue = Catalogue(built_in)
        self.problems = dict(self.catalogue.problems)
        self.foreign: dict[str, Style] = {}
        self._styles: dict[str, Style] = {}
        self._loaded: dict[Path, tuple[_Stamp, Style]] = {}
        self.refresh()

    def __len__(self) -> int:
        return len(self._styles)

    def __iter__(self) -> Iterator[Style]:
        """Custom styles first, newest first; then built-in ones as catalogued, others by title."""
        custom = [s for s in self._styles.values() if s.kind == "custom"]
        built_in = [s for s in self._styles.values() if s.kind == "built-in"]
        yield from sorted(custom, key=lambda s: (s.created, s.id), reverse=True)
        yield from sorted(built_in, key=self.catalogue.rank)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._styles

    def __getitem__(self, id_: str) -> Style:
        """A style that can be used, by id.

        Raises
        ------
        UnknownStyleError
            There is none.
        OutdatedStyleError
            It belongs to another network.
        """
        style = self.find(id_)
        if id_ not in self._styles:
            raise OutdatedStyleError(
                f"style {id_!r} was learned for another network; it needs a retune"
            )
        return style

    @property
    def outdated(self) -> list[Style]:
        """Custom styles that were learned for another network, newest first."""
        custom = [style for style in self.foreign.values() if style.kind == "custom"]
        return sorted(custom, key=lambda style: (style.created, style.id), reverse=True)

    def find(self, id_: str) -> Style:
        """A style by id, whether it can be used or not.

        Raises
        ------
        UnknownStyleError
            There is none.
        """
        style = self._styles.get(id_) or self.foreign.get(id_)
        if style is None or (id_ in self.foreign and style.kind == "built-in"):
            shown = f" {id_!r}" if STYLE_ID.fullmatch(id_) else ""
            raise UnknownStyleError(f"there is no style{shown}")
        return style

    def mix(
        self, weights: Mapping[str, float], rows: Sequence[tuple[Tensor, float]] = ()
    ) -> Tensor:
        """The code (P,) of a blend of styles, by id, and of rows of elsewhere.

        Parameters
        ----------
        weights
            By id; none below 0.
        rows
            Codes (P,) with their weights: predicted ones, for example.

        Raises
        ------
        UnknownStyleError, OutdatedStyleError, MixError
            A style is unknown, or of another network; the weights make no blend.
        """
        shares = normalize_weights([*weights.values(), *(weight for _, weight in rows)])
        codes = [*(self[id_].code for id_ in weights), *(code for code, _ in rows)]
        return blend_codes(torch.stack(codes), shares)

    def is_fresh(self, id_: str) -> bool:
        """Whether a style that can be used is as it was loaded; one look at one file."""
        if id_ not in self._styles:
            return False
        folder = self.built_in if self._styles[id_].kind == "built-in" else self.custom
        path = folder / f"{id_}.safetensors" if folder is not None else None
        known = self._loaded.get(path) if path is not None else None
        try:
            return path is not None and known is not None and known[0] == _stamp(path)
        except OSError:
            return False

    def refresh(self) -> None:
        """Take in what has been added, changed or removed on disk since the last look."""
        folders: list[tuple[Path, Kind]] = [(self.built_in, "built-in")]
        if self.custom is not None:
            folders.append((self.custom, "custom"))
        loaded: dict[Path, tuple[_Stamp, Style]] = {}
        for folder, kind in folders:
            built_in = [style for _, style in loaded.values() if style.network == self.network]
            for path in sorted(folder.glob("*.safetensors")):
                try:
                    stamp = _stamp(path)
                    known = self._loaded.get(path)
                    same = known is not None and known[0] == stamp
                    loaded[path] = known if known and same else (stamp, self._load(path, kind))
                    if not same and kind == "custom" and loaded[path][1].network == self.network:
                        self._check_row(loaded[path][1], built_in)
                    self.problems.pop(path.stem, None)
                except StyleError as error:
                    loaded.pop(path, None)
                    self.problems[path.stem] = str(error)
                    if kind == "custom":
                        quarantine(path)
                except OSError as error:
                    self.problems[path.stem] = f"cannot be read: {error.strerror}"
        self._loaded = loaded
        styles: dict[str, Style] = {}
        foreign: dict[str, Style] = {}
        for _, style in loaded.values():  # built-in ones first, and no custom one hides them
            if style.id not in styles:
                (styles if style.network == self.network else foreign)[style.id] = style
        self._styles, self.foreign = styles, foreign

    @staticmethod
    def _load(path: Path, kind: Kind) -> Style:
        style = replace(load_style(path), kind=kind)
        if style.id != path.stem:
            raise DamagedStyleError(f"damaged style file: it holds {style.id!r}")
        return style

    def check_import(self, style: Style) -> None:
        """Refuse a style that the network cannot use.

        Raises
        ------
        ForeignStyleError
            It belongs to another network.
        DamagedStyleError
            Its row has another size than the network's, or absurd numbers.
        """
        if style.network != self.network:
            raise ForeignStyleError(
                f"the style belongs to network {style.network[:16]}, and this one is {self.network}"
            )
        self._check_row(style, [one for one in self._styles.values() if one.kind == "built-in"])

    @staticmethod
    def _check_row(style: Style, built_in: Sequence[Style]) -> None:
        """A checksum says that a row is what was written, not that the network can bear it."""
        if not built_in:
            return
        size = built_in[0].code.numel()
        if style.code.numel() != size:
            raise DamagedStyleError(
                f"the style's row has {style.code.numel()} numbers; this network's have {size}"
            )
        largest = ROW_ROOM * max(float(one.code.abs().max()) for one in built_in)
        if float(style.code.abs().max()) > largest:
            raise DamagedStyleError(
                f"the style's row holds numbers beyond {largest:.4g}, far from any that was learned"
            )

    def add(self, style: Style, preview: bytes | None = None, source: bytes | None = None) -> Style:
        """Store a custom style, replacing one of the same id.

        Parameters
        ----------
        preview
            WebP; none, that of an earlier style stays.
        source
            The picture it was learned from, WebP; none, that of an earlier style goes.

        Raises
        ------
        ForeignStyleError, DamagedStyleError
            See `check_import`.
        StyleError
            There is no folder for custom styles, or the id is a built-in style's.
        OSError
            Disk full or not writable; nothing changed.
        """
        if self.custom is None:
            raise StyleError("there is no folder for custom styles")
        self.check_import(style)
        if style.id in self._styles and self._styles[style.id].kind == "built-in":
            raise StyleError(f"{style.id!r} is a built-in style")
        self.custom.mkdir(parents=True, exist_ok=True)
        style = replace(style, kind="custom")
        copy = self._source(style.id)
        files = {self.custom / f"{style.id}.safetensors": pack_style(style)}
        if preview is not None:
            files[self.custom / f"{style.id}.webp"] = preview
        if source is not None:
            copy.parent.mkdir(exist_ok=True)
            files[copy] = source
        write_together(files)
        if source is None:
            copy.unlink(missing_ok=True)
        self.refresh()
        return style

    def remove(self, id_: str) -> None:
        """Delete a custom style, its preview, and the copy of its picture.

        Raises
        ------
        UnknownStyleError
            There is none.
        StyleError
            It is built in.
        """
        if self.find(id_).kind == "built-in" or self.custom is None:
            raise StyleError(f"{id_!r} is a built-in style and stays")
        (self.custom / f"{id_}.safetensors").unlink(missing_ok=True)
        (self.custom / f"{id_}.webp").unlink(missing_ok=True)
        self._source(id_).unlink(missing_ok=True)
        self.refresh()

    def preview_path(self, id_: str) -> Path | None:
        """The preview of a style (WebP), if it has one."""
        style = self.find(id_)
        folder = self.custom if style.kind == "custom" else self.built_in
        path = folder / f"{id_}.webp" if folder is not None else None
        return path if path is not None and path.exists() else None

    def painting_path(self, id_: str) -> Path | None:
        """A picture of the work that a style was learned from (WebP), if there is one."""
        if self.find(id_).kind == "custom":
            return self.source_path(id_)
        path = self.built_in / "paintings" / f"{id_}.webp"
        return path if path.exists() else None

    def source_path(self, id_: str) -> Path | None:
        """The copy of the picture that a custom style was learned from (WebP), if there is one."""
        if self.find(id_).kind == "built-in" or not self._source(id_).exists():
            return None
        return self._source(id_)

    def _source(self, id_: str) -> Path:
        assert self.custom is not None  # noqa: S101 - or there are no custom styles
        return self.custom / "sources" / f"{id_}.webp"
