"""The API under TLS: who trusts the certificate talks to it, by its names; nobody reads along."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.certificates import Authority

from gemel.errors import GemelError
from gemel.flow.fleet import compile_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import Listening, read_plant
from gemel.plant.wires import read_to
from gemel.server.app import Server, serve
from gemel.server.client import Client


def plan(folder: Path, **server: Any) -> Any:
    telemetry = {"speed": {"unit": "rpm"}}
    raw = {
        "plant": {"name": "hall"},
        "interface": {"Pump": {"id": "dtmi:gemel:test:Pump;1", "telemetry": telemetry}},
        "twin": [{"id": "p1", "interface": "Pump"}],
        "server": server,
    }
    return compile_plan(read_plant(raw), folder)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def served(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    certificate, key = authority.issue("gemel")
    listening = {"listen": "0.0.0.0", "names": ["Hall.example.com"]}
    files = {"certificate": str(certificate), "private_key": str(key)}
    folder = tmp_path_factory.mktemp("plant")
    with Host(plan(folder, **listening, **files), folder / "data") as host:
        with serve(host, port=0) as server:
            yield server, folder / "data"


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca))


def get(server: Server, data: Path, authority: Authority, host: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {(data / 'token').read_text().strip()}"}
    headers |= {"Host": host} if host else {}
    url = f"{server.url}/api/v1/status"
    return httpx.get(url, headers=headers, verify=trusting(authority), trust_env=False)


def test_who_trusts_its_authority_is_answered(
    served: tuple[Server, Path], authority: Authority
) -> None:
    assert served[0].url.startswith("https://127.0.0.1:")
    assert get(*served, authority).status_code == 200


def test_who_does_not_trust_it_sends_no_token(served: tuple[Server, Path], tmp_path: Path) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):
        get(*served, Authority(tmp_path / "other", "somebody else"))


def test_a_bare_wire_is_not_spoken(served: tuple[Server, Path]) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(served[0].url.replace("https", "http") + "/api/v1/health", trust_env=False)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("hall.example.com:8787", 200),
        ("10.1.2.3:8787", 200),
        ("[fe80::1]:8787", 200),
        ("localhost", 200),
        ("evil.example.com", 400),
    ],
)
def test_it_answers_to_its_names_and_to_addresses(
    served: tuple[Server, Path], authority: Authority, host: str, status: int
) -> None:
    answer = get(*served, authority, host)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["code"] == "host.not_local" and "names" in answer.json()["mend"]


def test_commands_on_the_same_machine_know_it_again(
    served: tuple[Server, Path], authority: Authority, tmp_path: Path
) -> None:
    """By the certificate itself, which lies beside the token; another's is refused."""
    with Client(served[1]) as client:
        assert client.get("status")["plant"] == "hall"
    told = json.loads((served[1] / "server.json").read_text())
    assert told["certificate"].startswith("-----BEGIN CERTIFICATE")
    other, _ = authority.issue("another")  # of the same authority, and for the same address
    before = (served[1] / "server.json").read_text()
    told["certificate"] = other.read_text()
    (served[1] / "server.json").write_text(json.dumps(told))
    try:
        with Client(served[1]) as client, pytest.raises(GemelError) as refused:
            client.get("status")
        assert refused.value.code == "server.silent" and "certificate" in refused.value.message
    finally:
        (served[1] / "server.json").write_text(before)


def test_a_simulated_plant_speaks_to_it(served: tuple[Server, Path], authority: Authority) -> None:
    server, data = served
    token = (data / "token").read_text().strip()
    to = read_to(f"{server.url}?source=http&ca={authority.ca}", token=token)
    assert to == type(to)(server.url, token, "http", 0, str(authority.ca))
    wire: Any = to.wire()
    with wire._http as http:
        assert http.get("status").status_code == 200


def test_others_reach_it_only_under_tls(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(GemelError) as told:
        plan(tmp_path, listen="0.0.0.0")
    assert told.value.code == "plant.open_wire" and "certificate" in told.value.mend
    with pytest.raises(GemelError) as told:
        plan(tmp_path, listen="hall.example.com")
    assert told.value.code == "plant.listen"
    assert plan(tmp_path).plant.server == Listening() and Listening().alone
    certificate, key = authority.issue("mismatch")
    _, other = authority.issue("other")
    wrong = plan(tmp_path, certificate=str(certificate), private_key=str(other))
    with Host(wrong, tmp_path / "data") as host, pytest.raises(GemelError) as told:
        serve(host, port=0)
    assert told.value.code == "login.no_certificate"
    assert key != other


def test_a_key_in_the_same_file_is_told_to_nobody(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("both")
    both = tmp_path / "both.pem"
    both.write_text("Prüfstand\n" + certificate.read_text() + key.read_text())
    told = plan(tmp_path, certificate=str(both), private_key=str(both))
    with Host(told, tmp_path / "data") as host, serve(host, port=0):
        assert "PRIVATE" not in (tmp_path / "data" / "server.json").read_text()
        with Client(tmp_path / "data") as client:
            assert client.get("status")["plant"] == "hall"


def test_names_are_a_list_and_a_certificate_needs_a_wire_that_uses_it(tmp_path: Path) -> None:
    with pytest.raises(GemelError) as told:
        plan(tmp_path, names="hall.example.com")
    assert told.value.code == "plant.listen" and "list" in told.value.message
    with pytest.raises(GemelError) as told:
        read_to("http://127.0.0.1:8787?ca=ca.pem")
    assert told.value.code == "plant.to"
