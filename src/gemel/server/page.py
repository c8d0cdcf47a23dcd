"""The page: the files of `gemel/ui`, as a browser wants them.

Owns    every path but those of the API: assets that never change, the page itself for the rest,
        and the policy that forbids it any other host.
Never   needs a token, tells anything of the plant, or leaves its folder.
"""

import gzip
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import to_thread

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FOLDER = Path(__file__).resolve().parents[1] / "ui"
POLICY = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self' "
    "'unsafe-inline'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FOR_EVER = "public, max-age=31536000, immutable"  # of an asset: its name holds its hash
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
PACKED = (".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt")
UNBUILT = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Gemel</title>
<h1>The page is not built</h1><p>Build it with <code>make ui</code>, then reload.
The API is at <code>/api/v1</code>.</p></html>"""


@dataclass(frozen=True)
class File:
    """A file as it was read; packed: gzip of it, b"" where that is no gain."""

    stamp: tuple[int, int]
    kind: str
    body: bytes
    packed: bytes


class PageFiles:
    """ASGI middleware: answers what is not of the API, and hands on the rest."""

    def __init__(self, app: App, folder: Path = FOLDER) -> None:
        self._app, self._folder = app, folder.resolve()
        self._files: dict[str, File] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or of_api(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            await self._send(scope, send, 405, b"", {"Allow": "GET, HEAD"})
            return
        path: str = scope["path"].lstrip("/")
        file = await to_thread.run_sync(self._read, path)
        cache = FOR_EVER if path.startswith("assets/") else "no-cache"
        if file is None and not path.startswith("assets/"):
            file = await to_thread.run_sync(self._read, "index.html")
        if file is None:
            status, body = (404, b"") if path.startswith("assets/") else (503, UNBUILT)
            headers = {"Cache-Control": "no-store", "Content-Type": KINDS[".html"]}
            await self._send(scope, send, status, body, headers)
            return
        headers = {"Cache-Control": cache, "Content-Type": file.kind, "Vary": "Accept-Encoding"}
        body = file.body
        if file.packed and b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b""):
            body, headers["Content-Encoding"] = file.packed, "gzip"
        await self._send(scope, send, 200, body, headers)

    def _read(self, path: str) -> File | None:
        """A file of the folder, read anew when it was built anew; None: there is none."""
        try:
            place = (self._folder / path).resolve()
            if not place.is_relative_to(self._folder) or place.suffix not in KINDS:
                return None
            told = place.stat()
            stamp = (told.st_mtime_ns, told.st_size)
            known = self._files.get(path)
            if known is None or known.stamp != stamp:
                body = place.read_bytes()
                packed = gzip.compress(body, 9) if place.suffix in PACKED else b""
                known = File(stamp, KINDS[place.suffix], body, packed)
                self._files[path] = known
            return known
        except (OSError, ValueError):  # not there, or no name that a file can have
            return None

    @staticmethod
    async def _send(
        scope: Scope, send: Send, status: int, body: bytes, headers: dict[str, str]
    ) -> None:
        every = {**HEADERS, **headers, "Content-Length": str(len(body))}
        raw = [(name.lower().encode(), value.encode()) for name, value in every.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        sent = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": sent, "more_body": False})


def of_api(path: str) -> bool:
    """Whether a path is one of the API's, for which a token is needed."""
    return path in ("/api", "/metrics") or path.startswith("/api/")
