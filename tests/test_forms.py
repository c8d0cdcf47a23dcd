"""Every route has a schema and an example that keeps to it; a running plant's answers keep to it
too (`test_the_loop.py`)."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from tests.schemas import fits, routes

from gemel.flow.fleet import compile_plan
from gemel.flow.host import Host
from gemel.graph.plantfile import parse, read_plant
from gemel.server.app import create_app


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    plan = compile_plan(read_plant(parse('[plant]\nname = "empty"\n'), "empty"), Path())
    return create_app(Host(plan, tmp_path_factory.mktemp("empty")))


def test_every_answer_has_a_schema_and_an_example_that_fits_it(app: FastAPI) -> None:
    document = app.openapi()
    for (method, path), route in routes(app).items():
        told = document["paths"][route.path][method.lower()]
        ok = next(a for status, a in told["responses"].items() if status.startswith("2"))
        if path == "/live":
            assert ok["content"]["text/event-stream"]["schema"]["$ref"].endswith("/Live")
            continue
        content = ok["content"]["application/json"]
        assert content["schema"], path
        fits(app, method, path, content["example"])


def test_every_error_is_told_as_a_problem(app: FastAPI) -> None:
    document = app.openapi()
    for path, methods in document["paths"].items():
        for told in methods.values():
            for status, answer in told["responses"].items():
                if status.startswith("4") and status != "422":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/Problem"), (path, status)


def test_what_is_told_is_required_so_that_a_client_need_not_ask(app: FastAPI) -> None:
    row: dict[str, Any] = app.openapi()["components"]["schemas"]["OverviewRow"]
    assert set(row["required"]) == set(row["properties"])
