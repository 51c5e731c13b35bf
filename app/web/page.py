"""The page: static files, served wherever no route of the API matches."""

from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from app.web.errors import ApiError

NO_PAGE = "Pastiche runs. Its page is not installed; the API is described at /docs.\n"


class Page:
    """Serves a folder. What is no file of it does not exist, whatever the method.

    Parameters
    ----------
    folder
        Holds ``index.html``; none, or a folder without one: `/` says where the API is.
    """

    def __init__(self, folder: Path | None) -> None:
        self._files = StaticFiles(directory=folder, html=True) if folder is not None else None

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
            if self._files is None:
                raise HTTPException(404)
            return await self._files.get_response(self._files.get_path(scope), scope)
        except HTTPException:
            if scope["path"] == "/":
                return PlainTextResponse(NO_PAGE)
            raise HTTPException(404) from None
