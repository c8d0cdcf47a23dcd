"""The schemas of the API, held against what it answers."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter


def routes(app: FastAPI) -> dict[tuple[str, str], APIRoute]:
    """Every route of the API by method and path."""
    found = (route for route in app.routes if isinstance(route, APIRoute))
    return {
        (method, route.path.removeprefix("/api/v1")): route
        for route in found
        for method in route.methods
    }


def fits(app: FastAPI, method: str, path: str, answer: Any) -> None:
    """Raises where an answer, as it came over the wire, is not what the route's schema says."""
    TypeAdapter(routes(app)[method, path].response_model).validate_python(answer, strict=True)
