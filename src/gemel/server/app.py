"""The HTTP server: the application, its errors, and the thread it runs in.

Owns    how an answer and an error look on the wire, the port, and `DATA/server.json`.
Never   decides anything about the plant: every route asks the host.
"""

import json
import logging
import os
import socket
import ssl
import threading
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gemel.connect.login import (
    Tls,
    certificate_of,
    known_again,
    no_certificate,
    read_login,
)
from gemel.errors import (
    Bug,
    Conflict,
    Denied,
    GemelError,
    Invalid,
    NotFound,
    Unavailable,
)
from gemel.flow.host import Host
from gemel.graph.plantfile import Listening
from gemel.server import (
    control,
    history,
    ingest,
    kernels,
    live,
    metrics,
    overview,
    routes,
    series,
    sources,
)
from gemel.server.answers import BROKEN, UNREAD, Answer
from gemel.server.auth import RETRY, Gate
from gemel.server.board import Board
from gemel.server.page import PageFiles
from gemel.store import small

PORT = 8787
STATUS: list[tuple[type[GemelError], int]] = [
    (Invalid, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Denied, 403),
    (Unavailable, 503),
    (Bug, 500),
]
_log = logging.getLogger("gemel.server")


def status_of(error: GemelError) -> int:
    """The HTTP status of an error: by its class, and 400 where the bytes were no JSON."""
    if error.code in BROKEN:
        return 400
    if error.code in UNREAD:
        return UNREAD[error.code]
    return next(status for kind, status in STATUS if isinstance(error, kind))


def describe() -> dict[str, Any]:
    """The OpenAPI document, of which no plant is needed."""
    return _api().openapi()


def _api() -> FastAPI:
    """The routes, without a plant behind them."""
    app = FastAPI(
        title="Gemel",
        version="1",
        summary="The digital twins of one plant.",
        description=routes.ABOUT,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # it would load its page from another host
        redoc_url=None,
        openapi_tags=routes.TAGS,
        default_response_class=Answer,
        redirect_slashes=False,
    )
    for part in (routes, control, sources, overview, history, series, kernels, ingest, live):
        app.include_router(part.router, prefix="/api/v1")
    app.include_router(metrics.router)
    return app


def create_app(host: Host, stopping: threading.Event | None = None) -> FastAPI:
    """The API of one host, and the page."""
    app = _api()
    app.state.host = host
    app.state.ingest = CapacityLimiter(ingest.THREADS)
    app.state.board = Board(host, stopping or threading.Event())
    app.add_exception_handler(GemelError, _ours)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _crashed)

    def keep(path: str, head: bytes, error: GemelError) -> None:
        if path == "/api/v1/telemetry":
            host.refuse(head, error)

    app.add_middleware(PageFiles)
    listening = host.plan.plant.server
    names = None if listening.alone and not listening.names else listening.names
    where = str(host.data / "token")
    app.add_middleware(Gate, token=host.token, where=where, keep=keep, names=names)
    return app


def _problem(error: GemelError, status: int | None = None) -> JSONResponse:
    status = status or status_of(error)
    again = {"Retry-After": RETRY} if status == 503 else None
    return JSONResponse(error.as_record(), status, headers=again)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GemelError)
    return _problem(error)


async def _not_valid(request: Request, error: Exception) -> JSONResponse:
    """A parameter or a body that does not fit its declaration: the first fault, by its place."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    mend = "send a JSON object with Content-Type: application/json"
    if first["type"] == "json_invalid":
        told = first.get("ctx", {}).get("error", "")
        return _problem(Invalid("request.json", f"the body is not JSON: {told}", mend=mend))
    if place != "body":
        mend = "/api/v1/openapi.json says what this route takes"
    return _problem(Invalid("request.invalid", str(first["msg"]), where=place, mend=mend))


async def _no_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path, status = request.url.path[:120], error.status_code
    problem: GemelError
    if status == 404:
        mend = f"there are /api/v1/ {', '.join(routes.NOUNS)}"
        problem = NotFound("route.unknown", f"there is no {path}", mend=mend)
    elif status == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        problem = Invalid(
            "route.method", f"{path} does not take {request.method}", mend=f"use {allowed}"
        )
    else:
        mend = "/api/v1/openapi.json says what this route takes"
        problem = Invalid("request.invalid", str(error.detail), where=path, mend=mend)
    return JSONResponse(problem.as_record(), status, headers=error.headers)


async def _crashed(request: Request, error: Exception) -> JSONResponse:
    """Something that must not happen: it is logged whole, and told without its insides."""
    _log.error("%s %s", request.method, request.url.path, exc_info=error)
    mend = "report it with the traceback in the log; the plant goes on"
    return _problem(Bug("server.crashed", type(error).__name__, where=request.url.path, mend=mend))


class Server:
    """A server that runs in a thread of its own: `url`, `port`, `stop()`.

    link: the page's address with the token, for the person who started it
    """

    def __init__(self, host: Host, port: int = PORT) -> None:
        listening = host.plan.plant.server
        tls = _tls(listening, host.plan.where)
        self._socket = _listen(listening.address, port)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"{'https' if tls else 'http'}://{_near(listening.address)}:{self.port}"
        self.link = f"{self.url}/#token={host.token}"
        self._stopping = threading.Event()
        config = uvicorn.Config(
            create_app(host, self._stopping),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=200,
            timeout_graceful_shutdown=3,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="gemel-server", daemon=True
        )
        self._file = host.data / "server.json"
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        try:
            told = {"url": self.url, "pid": os.getpid()}
            if tls:  # so that who finds it here knows it again
                told["certificate"] = certificate_of(tls)
            small.put(self._file, json.dumps(told))
        except Unavailable:
            self.stop()
            raise

    def stop(self) -> None:
        """Finish the requests in hand, end the live streams, free the port. Twice is once."""
        self._file.unlink(missing_ok=True)
        self._stopping.set()
        self._server.should_exit = True
        self._thread.join(10.0)
        self._socket.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def serve(host: Host, port: int = PORT) -> Server:
    """Serve a started host, on loopback if its plant file says nothing else; `port` 0 takes a free
    one. `server.port_busy` if taken."""
    return Server(host, port)


def _near(address: str) -> str:
    """Where who is on this machine finds it, as a URL says it."""
    there = ip_address(address)
    if there.is_unspecified:
        return "127.0.0.1" if there.version == 4 else "[::1]"
    return address if there.version == 4 else f"[{address}]"


def _tls(listening: Listening, folder: Path) -> Tls | None:
    """The files of its TLS, of which it is sure that they are a pair."""
    options = {"certificate": listening.certificate, "private_key": listening.private_key}
    tls = read_login(options, folder, "[server]").tls
    if tls is not None:
        try:
            pair = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            pair.load_cert_chain(tls.certificate, tls.key, password="")  # else it would ask
            known_again(certificate_of(tls))
        except OSError as problem:
            raise no_certificate(tls, problem) from None
    return tls


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except (OSError, OverflowError) as problem:
        listener.close()
        raise Unavailable(
            "server.port_busy",
            f"port {port} cannot be had: {problem}",
            mend="choose another: --port 8788, or --port 0 for a free one",
        ) from None
    listener.listen(128)
    return listener
