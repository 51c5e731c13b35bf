"""Who may call: host names, cross-site requests, the API key."""

import hmac
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.datastructures import Headers

from app.engine.protocol import check_ready
from app.services import InjectedServices
from app.web.errors import ApiError
from app.web.forms import FormRequest

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
KEY_HEADER = "X-API-Key"
MAX_RANGES = 16
MAX_HEADER_BYTES = 32_768

SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        b"form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)

_key_header = APIKeyHeader(
    name=KEY_HEADER,
    scheme_name="ApiKey",
    description="Needed where the server has PASTICHE_API_KEY set.",
    auto_error=False,
)


def check_request(method: str, headers: Headers, accepted_hosts: frozenset[str] | None) -> None:
    """Refuse foreign hosts, cross-site changes, and absurd ranges, by headers alone.

    Raises
    ------
    ApiError
        400, 403, 416 or 431.
    """
    if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADER_BYTES:
        raise ApiError(
            431, "long_headers", f"At most {MAX_HEADER_BYTES} bytes of headers are read."
        )
    host = headers.get("host", "")
    if accepted_hosts is not None and _host_name(host) not in accepted_hosts:
        raise ApiError(
            400, "unknown_host", "The server does not answer to this host name; see allowed_hosts."
        )
    if method not in SAFE_METHODS:
        _check_same_site(headers, host)
    if "content-length" in headers and "transfer-encoding" in headers:  # two lengths: RFC 9112, 6.1
        raise ApiError(
            400,
            "ambiguous_length",
            "A request has a Content-Length or a Transfer-Encoding, not both.",
            headers={"Connection": "close"},
        )
    if headers.get("range", "").count(",") >= MAX_RANGES:
        raise ApiError(416, "too_many_ranges", f"At most {MAX_RANGES} ranges are served.")


def _check_same_site(headers: Headers, host: str) -> None:
    """A form of another site can post here without a preflight, so CORS would not stop it."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        same = site in ("same-origin", "none")
    elif origin is not None:
        same = _is_of(origin, host)
    else:
        same = True  # no browser
    if not same:
        raise ApiError(403, "cross_site", "Requests from other sites are refused.")


def _is_of(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # no address at all
        return False


def _host_name(host: str) -> str:
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower()


async def _require_key(
    services: InjectedServices, key: Annotated[str | None, Security(_key_header)] = None
) -> None:
    _check_key(services, key)


async def _require_key_to_stylize(
    services: InjectedServices, key: Annotated[str | None, Security(_key_header)] = None
) -> None:
    if services.settings.api_key_for_stylize:
        _check_key(services, key)


def _check_key(services: InjectedServices, key: str | None) -> None:
    expected = services.settings.api_key
    if expected is None:
        return
    if key is None or not hmac.compare_digest(key.encode(), expected.get_secret_value().encode()):
        raise ApiError(403, "missing_key", "This call needs the API key in X-API-Key.")


async def _require_room(
    services: InjectedServices, _: Annotated[str | None, Security(_key_header)] = None
) -> None:
    services.engine.check_open()


async def _require_room_to_keep(
    services: InjectedServices, _: Annotated[str | None, Security(_key_header)] = None
) -> None:
    check_ready(services.engine.state)
    await services.pictures_pool.run(services.pictures.check_room)


KeyRequired = Depends(_require_key)
KeyRequiredToStylize = Depends(_require_key_to_stylize)
RoomRequired = Depends(_require_room)
RoomToKeepRequired = Depends(_require_room_to_keep)
_BEFORE_BODY = (
    _require_key,
    _require_key_to_stylize,
    _require_room,
    _require_room_to_keep,
)


class EarlyRefusal(APIRoute):
    """A route whose key and room are looked at before its body is read: dependencies come after."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own, behind the checks."""
        handle = super().get_route_handler()
        asked = [one.dependency for one in self.dependencies]
        checks = [check for check in _BEFORE_BODY if check in asked]

        async def handle_or_refuse(request: Request) -> Response:
            for check in checks:
                await check(request.app.state.services, request.headers.get(KEY_HEADER))
            return await handle(FormRequest(request.scope, request.receive))

        return handle_or_refuse
