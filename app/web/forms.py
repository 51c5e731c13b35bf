"""Bodies and forms: bounded reads, and from an uploaded file to a verified picture."""

from collections.abc import Iterable
from typing import Any, BinaryIO

from fastapi import Request, UploadFile
from starlette.datastructures import FormData

from app.web.errors import ApiError
from model.pictures.limits import PictureLimits
from model.pictures.picture import Picture, measure_picture, read_picture

REPEATABLE = frozenset({"style_image"})


class FormRequest(Request):
    """A request whose forms are UTF-8, or refused, whatever encoding a client names.

    Starlette takes what does not decode for Latin-1, or is in an encoding of the client's choice.
    """

    async def _get_form(self, **limits: Any) -> FormData:
        if self._form is None:
            headers = _with_charset(self.scope["headers"], "latin-1")  # gives every byte back
            other = Request({**self.scope, "headers": headers}, self.receive)
            bytes_as_text = await other.form(**limits)
            try:
                self._form = FormData(
                    [
                        (_as_utf8(name), _as_utf8(value) if isinstance(value, str) else value)
                        for name, value in bytes_as_text.multi_items()
                    ]
                )
            except UnicodeError:
                await bytes_as_text.close()
                raise ApiError(422, "not_utf8", "The text of a form is to be UTF-8.") from None
        return self._form


def _with_charset(
    headers: Iterable[tuple[bytes, bytes]], charset: str
) -> list[tuple[bytes, bytes]]:
    """The headers, a form's content type with a charset at its end, which counts."""
    form, added = b"multipart/form-data", f"; charset={charset}".encode()
    return [
        (name, value + added)
        if name == b"content-type" and value.lower().startswith(form)
        else (name, value)
        for name, value in headers
    ]


def _as_utf8(text: str) -> str:
    return text.encode("latin-1").decode("utf-8")


async def check_form(request: Request) -> None:
    """Refuse what a form parser would take without a word: repeated, unknown, empty fields.

    Raises
    ------
    ApiError
        422, naming no field that the client made up.
    """
    form = await request.form()  # parsed already, with the route's limits
    names = [name for name, _ in form.multi_items()]
    once = [name for name in names if name not in REPEATABLE]
    if len(set(once)) != len(once):
        raise ApiError(422, "repeated_field", "A field is given more than once.")
    if set(names) - _declared_fields(request):
        raise ApiError(422, "unknown_field", "A field has a name that is not known here.")
    if any(value == "" for _, value in form.multi_items()):
        raise ApiError(422, "empty_field", "A field is empty; leave it out instead.")


def _declared_fields(request: Request) -> set[str]:
    names, dependants = set(), [request.scope["route"].dependant]
    for dependant in dependants:
        names |= {parameter.alias for parameter in dependant.body_params}
        dependants += dependant.dependencies
    return names


def measure_upload(upload: UploadFile, max_bytes: int, limits: PictureLimits) -> tuple[int, int]:
    """Width and height in px that the file's header claims, upright and within the limits.

    Raises
    ------
    ApiError
        413, more bytes than allowed.
    PictureError
        Empty, no accepted format, broken, or too large.
    """
    return measure_picture(read_upload(upload.file, max_bytes), limits)


def decode_upload(
    upload: UploadFile, max_bytes: int, limits: PictureLimits, max_side: int
) -> Picture:
    """The picture, no side above ``max_side`` px.

    Raises
    ------
    ApiError
        413, more bytes than allowed.
    PictureError
        It cannot be decoded.
    """
    return read_picture(read_upload(upload.file, max_bytes), limits, max_side)


def read_upload(file: BinaryIO, max_bytes: int) -> bytes:
    """The bytes of an uploaded file. Read anew for each step, so that none lie about in memory.

    Raises
    ------
    ApiError
        413, more than allowed.
    """
    file.seek(0)
    content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ApiError(
            413, "too_many_bytes", f"The file has more than the {max_bytes} bytes allowed."
        )
    return content


async def read_body(request: Request, max_bytes: int, what: str) -> bytes:
    """The body of a request that is no form.

    Parameters
    ----------
    what
        The body, in words that begin a sentence.

    Raises
    ------
    ApiError
        413, more bytes than allowed.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise ApiError(413, "too_many_bytes", f"{what} has at most {max_bytes} bytes.")
    return bytes(body)
