"""Fuzzing of what reads strangers' bytes: pictures, style files, form fields.

Twenty seconds or so; PASTICHE_FUZZ_S sets how long each reader is tried for, in seconds.
"""

import functools
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from picture_files import GOOD_FILES
from safetensors.torch import save
from service_helpers import assert_problem, photo_bytes, running_client

from app.web.fields import MixFormatError, parse_mix, read_decimal, read_flag, read_whole
from model.pictures.limits import PictureError, PictureLimits
from model.pictures.picture import encode_picture, measure_picture, read_picture
from model.storage.tensorfile import DIGEST_KEY, digest_tensors
from model.styles.style import Style, StyleError, clean_title
from model.styles.style_file import load_style, pack_style, read_style

SECONDS = float(os.environ.get("PASTICHE_FUZZ_S", "3"))
LIMITS = PictureLimits(max_pixels=1_000_000)
LONGEST_S = 5.0  # of computing, for one input

Test = Callable[..., None]


def fuzzed(test: Test) -> Test:
    """Run a property until the time is over, found examples made small."""
    profile = settings(
        max_examples=10_000_000 if SECONDS > 60 else 2000,
        deadline=None,
        database=None,
        derandomize=SECONDS <= 60,  # CI tries the same every time; a longer run tries on
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )

    def timed(inner: Test) -> Test:
        end: list[float] = []
        failed: list[BaseException] = []

        @functools.wraps(inner)
        def run(*arguments: Any, **values: Any) -> None:
            if not end:
                end.append(time.monotonic() + SECONDS)
            if time.monotonic() > end[0] and not failed:  # a failure is to be seen again
                return
            begun = time.process_time()  # not the clock: other processes are no fault of the reader
            try:
                inner(*arguments, **values)
                assert time.process_time() - begun < LONGEST_S
            except Exception as error:
                failed.append(error)
                raise

        return run

    return profile(timed(test))  # type: ignore[no-any-return]


@st.composite
def mutated(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """A good file, some of its bytes changed, doubled, cut, or moved."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["set", "insert", "delete", "cut", "copy", "length"]))
        if kind == "set" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == "cut":
            del data[at:]
        elif kind == "copy":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        else:  # what many formats take for a length
            data[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]))
    return bytes(data)


PICTURES = [*GOOD_FILES.values()]


def test_picture_readers() -> None:
    @fuzzed
    def check(data: bytes) -> None:
        try:
            size = measure_picture(data, LIMITS)
            picture = read_picture(data, LIMITS)
        except PictureError:
            return
        assert picture.size == size
        small = read_picture(data, LIMITS, max_side=16)
        assert max(small.size) <= 16
        encode_picture(small.rgb, "png", alpha=small.alpha)

    given(st.one_of(mutated(PICTURES), st.binary(max_size=200)))(check)()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_style_files(small_weights_folder: Path) -> None:
    style = load_style(small_weights_folder / "styles" / "amber.safetensors")
    good = pack_style(style)
    keys = ["format", "id", "title", "artist", "year", "attribution", "created", "network", "kind"]
    header = json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])
    start = json.loads(header["__metadata__"]["pastiche"])

    @fuzzed
    def check(data: bytes, changes: dict[str, Any], text: str) -> None:
        tensors = {"code": style.code}
        for metadata in (json.dumps(start | changes), text):
            forged = {"pastiche": metadata, DIGEST_KEY: digest_tensors_of(tensors, metadata)}
            for file in (data, save_or_none(tensors, forged)):
                if file is None:
                    continue
                try:
                    found: Style = read_style(file)
                except StyleError:
                    continue
                again = read_style(pack_style(found))  # what is accepted can be kept
                assert again.title == found.title == clean_title(found.title)
                assert math.isfinite(float(again.code.sum()))
                json.dumps(again.title).encode()

    strategies = st.dictionaries(st.sampled_from([*keys, "training"]), JSON, max_size=4)
    given(mutated([good]), strategies, st.text(max_size=300))(check)()


def digest_tensors_of(tensors: dict[str, Any], text: str) -> str:
    try:
        return digest_tensors(tensors, prefix=text)
    except UnicodeEncodeError:
        return "0"


def save_or_none(tensors: dict[str, Any], metadata: dict[str, str]) -> bytes | None:
    try:
        return save(tensors, metadata)
    except (UnicodeEncodeError, ValueError, TypeError):
        return None


def test_fields() -> None:
    @fuzzed
    def check(text: str, value: Any) -> None:
        for reader in (read_decimal, read_whole, read_flag):
            try:
                reader(text)
            except ValueError:
                continue
        for mix in (text, json.dumps(value), json.dumps([value])):
            try:
                weights = parse_mix(mix)
            except MixFormatError:
                continue
            assert math.isclose(sum(weights.values()), 1)
        try:
            clean_title(text)
        except StyleError:
            return
        assert clean_title(clean_title(text)) == clean_title(text)

    given(st.text(max_size=300) | st.from_regex(r"-?\d{0,30}\.?\d*[eE]?[-+]?\d*"), JSON)(check)()


@pytest.fixture(scope="module")
def client(
    small_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    data = tmp_path_factory.mktemp("data")
    with running_client(small_weights_folder, data, max_upload_bytes=100_000) as client:
        yield client


# Starlette leaves the spool of a broken body to the collector, which closes it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_multipart_bodies(client: TestClient) -> None:
    stream = io.BytesIO()
    for name, value in (("style", b"amber"), ("strength", b"0.5"), ("max_side", b"16")):
        stream.write(b'--b\r\nContent-Disposition: form-data; name="' + name.encode())
        stream.write(b'"\r\n\r\n' + value + b"\r\n")
    stream.write(b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n')
    stream.write(photo_bytes(16, 12) + b"\r\n--b--\r\n")

    @fuzzed
    def check(body: bytes, kind: str) -> None:
        headers = {"Content-Type": kind}
        response = client.post("/v1/stylize", content=body, headers=headers)
        if response.status_code != 200:
            assert response.status_code in (400, 413, 415, 422)
            assert_problem(response, response.status_code)

    form = "multipart/form-data; boundary=b"
    kinds = [
        *(form, f"{form}; charset=utf-16", f"{form}; charset=none"),
        "application/x-www-form-urlencoded",
    ]
    given(mutated([stream.getvalue()]), st.sampled_from(kinds))(check)()
