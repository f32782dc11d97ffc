"""The OpenAPI document is true: schemas of responses, and bounds of requests."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.openapi import validate_against
from tests.support.statistics import PERFORMANCE, computed_over_rest

DOCUMENT = json.loads((Path(__file__).parents[2] / "envoy" / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
PATHS = [(path, verb, operation) for path, verbs in DOCUMENT["paths"].items() for verb, operation in verbs.items()]
READS = [
    path for path, verb, operation in PATHS if verb == "get" and "{" not in path and "x-server-stream" not in operation
]


def outside(schema: Any) -> list[float]:
    """Return the numbers next to the bounds of a schema that it does not allow."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema["type"] == "integer":
        return [low - 1, high + 1]
    below = [] if low is None else [math.nextafter(low, -math.inf)]
    return below + ([] if high is None else [math.nextafter(high, math.inf)])


def bounded_parameters() -> Iterator[tuple[str, str, str, Any]]:
    for path, verb, operation in PATHS:
        for parameter in operation.get("parameters", []):
            if "minimum" in parameter["schema"]:
                yield verb, path, parameter["name"], parameter["schema"]


def bounded_fields() -> Iterator[tuple[str, str, Any, Any]]:
    for path, verb, operation in PATHS:
        if verb == "post" and "x-server-stream" not in operation and "{" not in path and "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            for name, schema in SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]["properties"].items():
                if "minimum" in schema:
                    yield path, name, schema, content["example"]


@pytest.mark.parametrize("path", READS)
async def test_response_is_valid_by_its_schema(rest: httpx.AsyncClient, path: str) -> None:
    response = await computed_over_rest(rest) if path == PERFORMANCE else (await rest.get(path)).raise_for_status()
    content = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    validate_against(DOCUMENT, content["schema"], response.json())


async def test_parameters_outside_their_bounds_are_refused_by_name(rest: httpx.AsyncClient) -> None:
    checked = 0
    for verb, path, name, schema in bounded_parameters():
        for number in outside(schema):
            response = await rest.request(verb, path, params={name: repr(number)})
            assert response.status_code == 400, (path, name, number)
            assert name in violations(response), (path, name, number)
            checked += 1
    assert checked > 20


async def test_parameters_at_their_bounds_are_accepted(rest: httpx.AsyncClient) -> None:
    for verb, path, name, schema in bounded_parameters():
        if verb == "get" and path in READS:
            for number in (schema["minimum"], schema["maximum"], schema["default"]):
                assert (await rest.get(path, params={name: number})).status_code == 200, (path, name, number)


async def test_fields_of_bodies_outside_their_bounds_are_refused_by_name(rest: httpx.AsyncClient) -> None:
    checked = 0
    for path, name, schema, example in bounded_fields():
        for number in outside(schema):
            response = await rest.post(path, json=example | {name: number})
            assert response.status_code == 400, (path, name, number)
            assert name in {field.rpartition(".")[2] for field in violations(response)}, (path, name, number)
            checked += 1
    assert checked > 20


def violations(response: httpx.Response) -> set[str]:
    """The fields that a response refuses."""
    validate_against(DOCUMENT, {"$ref": "#/components/schemas/Error"}, response.json())
    details = response.json()["details"]
    return {violation["field"] for detail in details for violation in detail.get("field_violations", [])}
