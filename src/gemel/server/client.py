"""The other side of the wire: one client of a running Gemel, found by its data directory.

Owns    reading `DATA/server.json` and `DATA/token`, and turning a problem back into our error.
Never   reads the stores: those are the running process's.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from gemel.connect.login import known_again
from gemel.errors import Conflict, Denied, GemelError, Invalid, NotFound, Unavailable
from gemel.store.lease import Lease

_CLASS: list[tuple[int, type[GemelError]]] = [
    (404, NotFound),
    (409, Conflict),
    (401, Denied),
    (403, Denied),
    (503, Unavailable),
    (400, Invalid),
    (413, Invalid),
    (415, Invalid),
    (422, Invalid),
]


class Client:
    """Talks to the Gemel that runs on a data directory; raises `server.not_running` otherwise."""

    def __init__(self, data: Path) -> None:
        told = _told(data)
        if told is None:
            raise Unavailable(
                "server.not_running",
                "no Gemel runs on this data directory",
                where=str(data),
                mend="start it (gemel run PLANT), or name its directory with --data",
            )
        try:
            token = (data / "token").read_text(encoding="utf-8").strip()
        except OSError as problem:
            raise Denied(
                "auth.unreadable",
                f"the token cannot be read: {problem}",
                where=str(data / "token"),
                mend="run this as the user who started Gemel",
            ) from None
        self.url = str(told["url"])
        certificate = told.get("certificate")
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60.0,
            trust_env=False,
            verify=known_again(certificate) if certificate else True,
        )

    def get(self, noun: str, **how: Any) -> Any:
        """GET; parameters that are None are left out."""
        return self._ask("GET", noun, params={k: v for k, v in how.items() if v is not None})

    def post(self, noun: str, body: dict[str, Any]) -> Any:
        """POST a JSON object."""
        return self._ask("POST", noun, json=body)

    def _ask(self, method: str, noun: str, **how: Any) -> Any:
        try:
            answer = self._http.request(method, noun, **how)
            told = answer.json()
        except (httpx.HTTPError, ValueError) as problem:
            raise Unavailable(
                "server.silent",
                f"Gemel did not answer: {type(problem).__name__} {problem}",
                where=self.url,
                mend="see whether it still runs, and try again",
            ) from None
        if answer.is_success:
            return told
        kind = next((kind for status, kind in _CLASS if status == answer.status_code), Unavailable)
        code, where = told.get("code", "server.silent"), told.get("where", "")
        raise kind(code, told.get("message", "?"), where=where, mend=told.get("mend", "?"))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def running(data: Path) -> str | None:
    """The URL of the server on a data directory; None when nobody serves it."""
    told = _told(data)
    return str(told["url"]) if told else None


def _told(data: Path) -> dict[str, Any] | None:
    """What a running server says of itself.

    Only the holder of the lease is believed: after a crash the pid in the file, and its port, may
    be another program's by now, and that must not be sent the token.
    """
    try:
        told = json.loads((data / "server.json").read_text(encoding="utf-8"))
        found: dict[str, Any] | None = told if Lease.holder(data) == int(told["pid"]) else None
        return found if found and "url" in found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
