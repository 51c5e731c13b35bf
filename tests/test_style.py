"""Blends, the style file, the library on disk."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from model.network.weights import Weights
from model.storage.tensorfile import pack_tensors
from model.styles.library import StyleLibrary
from model.styles.style import (
    DamagedStyleError,
    ForeignStyleError,
    MixError,
    Style,
    StyleError,
    UnknownStyleError,
    blend_codes,
    clean_title,
    normalize_weights,
)
from model.styles.style_file import load_style, pack_style, read_style, save_style

CODE = torch.randn(40, generator=torch.Generator().manual_seed(5))


def make_style(**changes: object) -> Style:
    style = Style("night", "Night", CODE, "abc", "Someone", "1889", "known")
    return replace(style, **changes)  # type: ignore[arg-type]


def test_blending_is_linear_in_the_codes() -> None:
    codes = torch.randn(3, 40)
    weights = [0.2, 0.5, 0.3]
    expected = sum(w * c for w, c in zip(weights, codes, strict=True))
    torch.testing.assert_close(blend_codes(codes, weights), expected)
    torch.testing.assert_close(blend_codes(codes, [2.0, 5.0, 3.0]), expected)


def test_a_mix_of_one_is_the_style_bit_for_bit() -> None:
    assert torch.equal(blend_codes(CODE[None], [0.37]), CODE)


@pytest.mark.parametrize(
    "weights",
    [[], [0.0], [0, 0], [-1, 2], [math.nan], [math.inf, 1], [1.0] * 9],
)
def test_weights_that_make_no_blend(weights: list[float]) -> None:
    with pytest.raises(MixError):
        normalize_weights(weights)


def test_extreme_weights_still_sum_to_one() -> None:
    assert normalize_weights([1.7e308, 1.7e308]) == [0.5, 0.5]
    assert normalize_weights([5e-324, 0]) == [1.0, 0.0]


def test_round_trip_is_bit_exact(tmp_path: Path) -> None:
    style = make_style(
        title="Sjálf “Żółw” 🌌", training={"steps": 3}, created="2026-01-01T00:00:00Z"
    )
    save_style(style, tmp_path / "night.safetensors")
    loaded = load_style(tmp_path / "night.safetensors")
    assert torch.equal(loaded.code, style.code)
    assert replace(loaded, code=style.code).__dict__ == style.__dict__
    assert list(tmp_path.iterdir()) == [tmp_path / "night.safetensors"]


def test_every_flipped_bit_is_found() -> None:
    data = pack_style(make_style())
    for position in range(0, len(data), 7):
        broken = bytearray(data)
        broken[position] ^= 1 << (position % 8)
        with pytest.raises(DamagedStyleError):
            read_style(bytes(broken))


def test_every_cut_is_found() -> None:
    data = pack_style(make_style())
    for length in range(0, len(data), 11):
        with pytest.raises(DamagedStyleError):
            read_style(data[:length])


def packed(code: torch.Tensor = CODE, **changes: object) -> bytes:
    """A file that is whole, with odd contents."""
    metadata = {"format": "pastiche-style/1", "id": "x", "title": "X", "kind": "custom"}
    return pack_tensors({"code": code}, metadata | changes)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        save({"code": CODE}),
        save({"code": CODE}, {"pastiche": "{}", "sha256": "0"}),
        save({"code": CODE}, {"pastiche": "[]", "sha256": "0"}),
        packed(torch.full((4,), math.nan)),
        packed(torch.tensor([1.0, math.inf])),
        packed(torch.zeros(2, 2)),
        packed(format="other"),
        packed(id="../x"),
        packed(id=3),
        packed(title="\x00"),
        packed(kind="theirs"),
        packed(training=[]),
        pack_tensors({"row": CODE}, {"format": "pastiche-style/1", "id": "x", "title": "X"}),
        pack_tensors({"code": CODE}, {"id": "x"}),
        bytes(2_000_000),
    ],
)
def test_what_is_no_style_file_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedStyleError):
        read_style(data)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    torch.save({"code": CODE}, tmp_path / "evil.safetensors")
    with pytest.raises(DamagedStyleError):
        load_style(tmp_path / "evil.safetensors")


@pytest.mark.parametrize("id_", ["", "A", "a b", "../a", "a" * 65, "é", "a\n"])
def test_ids_are_checked(id_: str) -> None:
    with pytest.raises(StyleError):
        make_style(id=id_)


def test_titles() -> None:
    assert clean_title("  A\tB\n C ") == "A B C"
    assert clean_title("e\u0301") == "\u00e9"  # NFC
    assert clean_title("\u202egnp.exe") == "gnp.exe"
    assert clean_title("<b>🌌</b>") == "<b>🌌</b>"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # joined to one
    flag = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
    for whole in (family, f"{family} {flag}", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"):
        assert clean_title(whole) == whole
    assert clean_title("\u200da \u200d b\u200d\u200d") == "a b"
    for bad in ("", " \x00 ", "x" * 121, "\u200d", "\u200d \u200c", "\U000e0067"):
        with pytest.raises(StyleError):
            clean_title(bad)


def test_credit() -> None:
    assert make_style().credit == "Someone, 1889"
    assert make_style(attribution="artist unverified").credit == "attributed to Someone, 1889"
    assert make_style(artist="unknown", year="").credit == "unknown artist"


@pytest.fixture
def library(small_weights_folder: Path, small_weights: Weights, tmp_path: Path) -> StyleLibrary:
    custom = tmp_path / "styles"
    return StyleLibrary(small_weights_folder / "styles", small_weights.fingerprint, custom)


def custom_style(library: StyleLibrary, id_: str = "mine", created: str = "2026") -> Style:
    return Style(id_, "Mine", library["amber"].code * 1.1, library.network, created=created)


def test_library_lists_and_finds(library: StyleLibrary) -> None:
    assert [style.id for style in library] == ["amber", "birch", "cobalt"]
    assert "amber" in library
    with pytest.raises(UnknownStyleError, match="'ambre'"):
        library["ambre"]
    with pytest.raises(UnknownStyleError) as caught:
        library["<script>"]
    assert "script" not in str(caught.value)


def test_library_mixes(library: StyleLibrary) -> None:
    expected = 0.25 * library["amber"].code + 0.75 * library["birch"].code
    torch.testing.assert_close(library.mix({"amber": 1, "birch": 3}), expected)


def test_custom_styles_come_and_go(library: StyleLibrary) -> None:
    before = library["amber"].code.clone()
    library.add(custom_style(library, "older", "2025"))
    library.add(custom_style(library, "newer", "2026"), preview=b"RIFF")
    assert [style.id for style in library][:2] == ["newer", "older"]
    path = library.preview_path("newer")
    assert path is not None
    assert path.read_bytes() == b"RIFF"
    assert library.preview_path("older") is None
    again = StyleLibrary(library.built_in, library.network, library.custom)
    assert torch.equal(again["newer"].code, library["newer"].code)
    library.remove("newer")
    assert "newer" not in library
    again.refresh()  # as another process would
    assert "newer" not in again
    assert torch.equal(library["amber"].code, before)


def test_built_in_styles_stay(library: StyleLibrary) -> None:
    with pytest.raises(StyleError, match="built-in"):
        library.remove("amber")
    with pytest.raises(StyleError, match="built-in"):
        library.add(custom_style(library, "amber"))


def test_style_of_another_network_is_never_used(library: StyleLibrary) -> None:
    foreign = replace(custom_style(library), network="0123456789abcdef")
    with pytest.raises(ForeignStyleError):
        library.add(foreign)
    assert library.custom is not None
    library.custom.mkdir()
    save_style(foreign, library.custom / "mine.safetensors")
    library.refresh()
    assert "mine" not in library
    assert "mine" in library.foreign
    assert (library.custom / "mine.safetensors").exists()


def test_damaged_style_is_quarantined_and_the_rest_loads(library: StyleLibrary) -> None:
    library.add(custom_style(library))
    assert library.custom is not None
    path = library.custom / "mine.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    again = StyleLibrary(library.built_in, library.network, library.custom)
    assert len(again) == 3
    assert "checksum" in again.problems["mine"]
    assert not path.exists()
    assert (library.custom / "quarantine" / "mine.safetensors").exists()


def test_style_under_a_wrong_name_is_a_problem(library: StyleLibrary) -> None:
    library.add(custom_style(library))
    assert library.custom is not None
    shutil.copy(library.custom / "mine.safetensors", library.custom / "amber.safetensors")
    library.refresh()
    assert "amber" in library.problems
    assert library["amber"].kind == "built-in"


def test_custom_styles_need_a_folder(library: StyleLibrary) -> None:
    bare = StyleLibrary(library.built_in, library.network)
    with pytest.raises(StyleError, match="no folder"):
        bare.add(custom_style(library))


def test_metadata_stay_text() -> None:
    style = make_style(title="<script>alert(1)</script>")
    data = pack_style(style)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["pastiche"])["title"] == style.title
    assert len(data) < 16_384
