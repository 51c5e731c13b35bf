"""The page: static files, served wherever no route of the API matches."""

import gzip
import os
from functools import lru_cache
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from app.web.errors import ApiError
from app.web.shell import WORKER, render_worker

TEXT_TYPES = ("text/", "application/json", "application/manifest+json", "image/svg+xml")
MAX_COMPRESSED_FILES = 256
NO_PAGE = "Pastiche runs. Its page is not installed; the API is described at /docs.\n"


class CompressedFiles(StaticFiles):
    """Static files; texts go over the wire compressed, to whoever reads that."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """A file as an answer."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        if not response.headers.get("content-type", "").startswith(TEXT_TYPES):
            return response
        response.headers["Vary"] = "Accept-Encoding"
        asked = Headers(scope=scope)
        is_read = "gzip" in asked.get("accept-encoding", "")
        if response.status_code != 200 or not is_read or "range" in asked:
            return response
        etag = response.headers["etag"]
        headers = {
            "Content-Encoding": "gzip",
            "ETag": f"W/{etag}",  # other bytes than the plain file's
            "Last-Modified": response.headers["last-modified"],
            "Vary": "Accept-Encoding",
        }
        body = _compress(os.fspath(full_path), stat_result.st_mtime_ns)
        return Response(body, headers=headers, media_type=response.media_type)


@lru_cache(MAX_COMPRESSED_FILES)
def _compress(path: str, changed_ns: int) -> bytes:  # noqa: ARG001
    # The time is part of what the cache knows a file by: it is never an old one's.
    return gzip.compress(Path(path).read_bytes(), mtime=0)


class Page:
    """Serves a folder. What is no file of it does not exist, whatever the method.

    Parameters
    ----------
    folder
        Holds ``index.html``; none, or a folder without one: `/` says where the API is.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files = CompressedFiles(directory=folder, html=True) if folder is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._respond(scope)
        response.headers["Cache-Control"] = "no-cache"  # revalidated by its ETag

        async def send_unless_refused(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = Headers(raw=message["headers"])
                told = (
                    {"Content-Range": headers["content-range"]}
                    if "content-range" in headers
                    else {}
                )
                raise ApiError(
                    message["status"], "bad_range", "The Range cannot be served.", headers=told
                )
            await send(message)

        await response(scope, receive, send_unless_refused)

    async def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(404)
        try:
            if self._files is None or self._folder is None:
                raise HTTPException(404)
            if scope["path"] == f"/{WORKER}":
                script = await run_in_threadpool(render_worker, self._folder)
                return Response(script, media_type="text/javascript")
            return await self._files.get_response(self._files.get_path(scope), scope)
        except (HTTPException, FileNotFoundError):
            if scope["path"] == "/":
                return PlainTextResponse(NO_PAGE)
            raise HTTPException(404) from None
