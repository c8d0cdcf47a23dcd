"""The page's files over HTTP: what needs no token, what is cached, and what is never handed out."""

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from gemel import cli
from gemel.flow.fleet import compile_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import parse, read_plant
from gemel.server import page
from gemel.server.app import Server, serve

INDEX = b"<!doctype html><title>Gemel</title><script src=/assets/a-1.js></script>"
SCRIPT = b"export const answer = 42;\n" * 200


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "ui"
    (made / "assets").mkdir(parents=True)
    (made / "index.html").write_bytes(INDEX)
    (made / "assets" / "a-1.js").write_bytes(SCRIPT)
    (made / "ring.svg").write_bytes(b"<svg/>")
    (tmp_path / "secret.txt").write_text("not for you")
    (made / "assets" / "link.txt").symlink_to(tmp_path / "secret.txt")
    monkeypatch.setattr(page.PageFiles.__init__, "__defaults__", (made,))
    return made


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[Server]:
    plan = compile_plan(read_plant(parse('[plant]\nname = "empty"\n'), "empty"), Path())
    with Host(plan, tmp_path / "empty.gemel") as host, serve(host, 0) as made:
        yield made


@pytest.fixture
def bare(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


def test_the_page_needs_no_token_and_answers_every_path_but_the_apis(bare: httpx.Client) -> None:
    for path in ("/", "/asset/st1-b2", "/trends?s=a:b", "/docs", "/apiary"):
        answer = bare.get(path)
        assert (answer.status_code, answer.content) == (200, INDEX), path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
    for path in ("/api", "/api/v1/status", "/api/v2", "/api/../index.html"):
        assert bare.get(path).status_code in (200, 401), path
        if path != "/api/../index.html":  # the client itself makes that /index.html
            assert bare.get(path).json()["code"] == "auth.no_token"


def test_no_other_host_may_be_asked_or_frame_the_page(bare: httpx.Client) -> None:
    for path in ("/", "/assets/a-1.js", "/assets/none.js"):
        told = bare.get(path).headers
        policy = dict(
            part.strip().split(" ", 1) for part in told["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "http:" not in policy and "*" not in told["content-security-policy"]
        assert told["x-content-type-options"] == "nosniff"
        assert told["referrer-policy"] == "no-referrer"
    assert bare.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_assets_are_kept_for_ever_and_packed_for_who_can_unpack(bare: httpx.Client) -> None:
    plain = bare.get("/assets/a-1.js", headers={"Accept-Encoding": "identity"})
    assert plain.content == SCRIPT and "content-encoding" not in plain.headers
    assert "immutable" in plain.headers["cache-control"]
    with bare.stream("GET", "/assets/a-1.js", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip" and len(raw) < len(SCRIPT) / 10
        assert gzip.decompress(raw) == SCRIPT
    head = bare.head("/assets/a-1.js", headers={"Accept-Encoding": "identity"})
    assert head.content == b"" and int(head.headers["content-length"]) == len(SCRIPT)
    assert bare.get("/assets/none.js").status_code == 404
    assert bare.post("/", content=b"x").status_code == 405


def test_nothing_outside_the_folder_is_handed_out(server: Server) -> None:
    for path in (
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/link.txt",
        "//etc/passwd",
        "/assets/%00.js",
        "/assets/" + "a" * 5000,
    ):
        with socket.create_connection(("127.0.0.1", server.port), 5) as line:
            line.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            told = b""
            while part := line.recv(65536):
                told += part
        assert b"not for you" not in told and b"root:" not in told, path


def test_a_page_that_was_built_anew_is_told_at_once(bare: httpx.Client, folder: Path) -> None:
    assert bare.get("/").content == INDEX
    (folder / "index.html").write_bytes(b"<!doctype html><title>new and longer</title>" * 9)
    assert b"longer" in bare.get("/").content
    (folder / "index.html").unlink()
    answer = bare.get("/")
    assert answer.status_code == 503 and b"make ui" in answer.content


def test_the_link_opens_the_page_with_the_token_where_no_server_sees_it(server: Server) -> None:
    address, _, token = server.link.partition("#token=")
    assert address == f"{server.url}/" and len(token) > 20
    header = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{server.url}/api/v1/plant", headers=header, trust_env=False).is_success


def test_the_openapi_document_is_printed_without_a_plant() -> None:
    told = CliRunner().invoke(cli.app, ["openapi"])
    assert told.exit_code == 0
    document = json.loads(told.stdout)
    assert document["components"]["schemas"]["OverviewRow"]["properties"]["status"]
