"""Values checked against the schemas of an OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_DOCUMENT = "urn:openapi"


def validate_against(document: Any, schema: Any, value: Any) -> None:
    """Check that a value is valid by a schema of the document, and has no field that its schema does not name.

    Raises:
        ValidationError: it is not.
    """
    registry: Registry[Any] = Registry().with_resource(_DOCUMENT, DRAFT202012.create_resource(_closed(document)))
    absolute = json.loads(json.dumps(schema).replace('"#/', f'"{_DOCUMENT}#/'))
    OAS31Validator(absolute, registry=registry).validate(value)


def _closed(node: Any) -> Any:
    """Return a document whose objects have no other fields than those that are named."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    if closed.get("type") == "object" and "properties" in closed and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed
