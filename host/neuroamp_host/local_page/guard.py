"""Who may talk to the page's server.

Every page that a fitter has open can send requests to this computer, and a hostile one can give
its own name this computer's address (DNS rebinding). So the server answers only to its own names,
takes commands only from its own page, and when it listens to more than this computer it wants a
token.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from fastapi.datastructures import Headers
from fastapi.responses import JSONResponse, RedirectResponse, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "neuroamp_token"
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
LARGEST_BODY_BYTES = 4 * 2**20

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def is_local(address: str) -> bool:
    """Whether only this computer can reach a server bound to `address`."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def as_sentence(text: str) -> str:
    """An error's text as a sentence of its own, for a page."""
    return text[:1].upper() + text[1:]


class Guard:
    """ASGI middleware that lets through what the page itself sends, and nothing else."""

    def __init__(self, app: App, token: str | None = None) -> None:
        """Guards `app`.

        Args:
            app: what answers.
            token: what a browser must show; None for a server that only this computer reaches,
                which instead answers to `LOCAL_NAMES` alone.
        """
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)  # type: ignore[arg-type]
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        await self._app(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._token is None and _name_of(host) not in LOCAL_NAMES:
            return _refuse(
                421,
                f"the page was asked for as {host[:80]!r} but answers only as 127.0.0.1 or "
                "localhost; open the address that the command printed.",
            )
        if self._token is not None:
            shown = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if scope["path"] == "/" and shown and self._is_token(shown):
                return _remember(self._token)
            if not self._is_token(_token_in(headers)):
                return _refuse(
                    401,
                    "the page needs the token of its address; open the address that "
                    "the command printed.",
                )
        if scope["method"] in ("GET", "HEAD"):
            # A link from elsewhere may open the page; nothing else from elsewhere may read it.
            site = headers.get("sec-fetch-site", "none")
            opens = headers.get("sec-fetch-mode", "navigate") == "navigate"
            if site in ("same-origin", "none") or (opens and scope["path"] == "/"):
                return None
            return _refuse(403, "another page asked for this one's data; open this page itself.")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return _refuse(
                403,
                f"a command came from the page {origin[:80]!r}, which is not this one; nothing "
                "was done; use this page.",
            )
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _refuse(403, "a command came from another page; nothing was done; use this one.")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refuse(415, "a command must be sent as application/json; use the page.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY_BYTES:
            return _refuse(
                413,
                f"what was sent has more than {LARGEST_BODY_BYTES // 2**20} MiB; choose a "
                "smaller file.",
            )
        return None

    def _is_token(self, shown: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(shown.encode(), self._token.encode())


def _name_of(host: str) -> str:
    """The name in a Host header, without its port: 'localhost:8000', '[::1]:8000'."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _token_in(headers: Headers) -> str:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if cookie is None else cookie.value


def _remember(token: str) -> Response:
    """To the page, with the token in a cookie instead of the address."""
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
    return response


def _refuse(status: int, sentence: str) -> Response:
    return JSONResponse({"error": as_sentence(sentence)}, status_code=status)


def _limited(receive: Receive) -> Receive:
    """`receive`, which gives up on a body that turns out longer than it may be."""
    total = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > LARGEST_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return counted


def _with_headers(send: Send) -> Send:
    """`send`, which adds `HEADERS` where the answer has not set its own."""

    async def added(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            raw = list(message.get("headers", []))
            present = {name.lower() for name, _ in raw}
            for name, value in HEADERS.items():
                if name.encode() not in present:
                    raw.append((name.encode(), value.encode()))
            message = {**message, "headers": raw}
        await send(message)

    return added
