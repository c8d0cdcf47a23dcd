"""The gate before every route: whose host, whose token, how many bytes.

Owns    the refusals that come before any route: foreign host, no token, too large a body, and a
        flood: more bodies at once than there is room for.
Never   looks at what a request wants.

A page of another site can make a browser send requests to 127.0.0.1 under a name of its own (DNS
rebinding); the host's name is checked first for that reason, the token after it, the body last.
"""

import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from ipaddress import ip_address
from typing import Any

from anyio import to_thread

from gemel.connect.base import HEAD
from gemel.errors import Denied, GemelError, Invalid, Unavailable
from gemel.server.page import of_api

LIMIT = 8 << 20  # bytes of a request's body
ROOM = 128 << 20  # bytes of the bodies of all requests in hand
RETRY = "1"  # s after which one who was sent away may try again
LINGER = 64 << 20  # bytes of a refused body that are read away, so that the answer is heard
LINGER_FOR = 2.0  # s, at most
HOSTS = ("127.0.0.1", "localhost", "[::1]")
OPEN = ("/api/v1/health",)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gate:
    """ASGI middleware. `token` is the plant's; `where` says where a person finds it.

    `keep(path, head, error)` is told of a body that was too large, with its first bytes.
    names: of a server that others reach: what it may be asked for beside loopback's names, and
    beside any address, under which no other site can stand. None: by loopback's names alone.
    """

    def __init__(
        self,
        app: App,
        *,
        token: str,
        where: str,
        keep: Callable[[str, bytes, GemelError], None],
        names: Sequence[str] | None = None,
    ) -> None:
        self._app, self._token, self._where, self._keep = app, token.encode(), where, keep
        self._names = names
        self._held = 0  # bytes of bodies in hand

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        error, status = self._refusal(scope["path"], headers)
        if error is not None:
            await refuse(send, error, status)
            return
        told = headers.get(b"content-length", b"0")
        if told == b"0" and b"transfer-encoding" not in headers:
            await self._app(scope, _again(b"", receive), send)
            return
        limit = LIMIT if told.isdigit() and int(told) <= LIMIT else 0  # 0: refused as told
        room = int(told) if limit and told != b"0" else limit
        if self._held + room > ROOM:
            await refuse(send, _busy(), 429)
            return
        self._held += room
        try:
            await self._take(scope, receive, send, limit)
        finally:
            self._held -= room

    async def _take(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Read the body, and hand the request on if that is all of it."""
        read = await _read(receive, limit)
        if read is None:
            return  # nobody waits for an answer
        body, whole = read
        if whole:
            await self._app(scope, _again(body, receive), send)
            return
        error = Invalid(
            "body.too_large",
            f"the body has more than {LIMIT >> 20} MiB",
            mend="send fewer samples at once, or give a large file to a csv or parquet source",
        )
        await to_thread.run_sync(self._keep, scope["path"], body[:HEAD], error)
        await refuse(send, error, 413, receive)

    def _is_ours(self, name: str) -> bool:
        if name in HOSTS:
            return True
        return self._names is not None and (name in self._names or _is_address(name))

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> tuple[GemelError | None, int]:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(_name(host)):
            return Denied(
                "host.not_local",
                f"'{host[:80]}' is not a name of this server",
                mend="ask for http://127.0.0.1:PORT, or for a name that the plant file's [server] "
                "has among its names",
            ), 400
        if path in OPEN or not of_api(path):
            return None, 0
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token):
            return None, 0
        return Denied(
            "auth.no_token",
            "the token does not fit" if kind else "the request carries no token",
            mend=f"send 'Authorization: Bearer TOKEN'; the token lies in {self._where}",
        ), 401


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _busy() -> Unavailable:
    return Unavailable(
        "server.busy",
        f"the bodies of the requests in hand fill {ROOM >> 20} MiB",
        mend="wait for the answer to a request before the next, and try again in a second",
    )


def _name(host: str) -> str:
    """The host without its port; an IPv6 address keeps its brackets."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


async def _read(receive: Receive, limit: int) -> tuple[bytes, bool] | None:
    """The body and whether that is all of it; it stops at the first part past the limit.

    None: the client left in mid-body, and what it sent is no message.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part, more = message.get("body", b""), message.get("more_body", False)
        parts.append(part)
        size += len(part)
        if size > limit:
            return b"".join(parts), False
    return b"".join(parts), True


def _again(body: bytes, receive: Receive) -> Receive:
    """Hand the body that was read to the application, then go on listening."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def refuse(send: Send, error: GemelError, status: int, unread: Receive | None = None) -> None:
    """Answer with the problem's record; what is unread is read away after it, up to a bound."""
    body = json.dumps(error.as_record()).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 429:
        headers.append((b"retry-after", RETRY.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": unread is not None})
    if unread is None:
        return
    size, until = 0, time.monotonic() + LINGER_FOR
    while size < LINGER and time.monotonic() < until:
        message = await unread()
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    await send({"type": "http.response.body", "body": b"", "more_body": False})
