"""Parts of the OpenAPI document that no proto describes: the introduction, and the errors."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

INTRODUCTION = """\
REST interface of the gRPC package `{package}`. Everything here is also served as gRPC and gRPC-Web on the same port.

Streams are sent as server-sent events for `Accept: text/event-stream` and as one JSON object a line otherwise. Times
are RFC 3339 in UTC; responses have six digits of the second. 64-bit integers are strings. A field that is absent has
no value; it is never 0 instead. Unknown or repeated query parameters and unknown fields of a body are refused. A body
is at most 32 KiB of `application/json`.

With `AUTH=on` every call but GetHealth needs an API key, as `authorization: Bearer` or `x-api-key`, whose role includes
`x-role` of the call: a viewer reads, a publisher also sends bars, a trader also makes signals and closes positions, an
admin does all. Without one the response is 401, with another role 403."""

SECURITY: list[Schema] = [{}, {"bearer": []}, {"apiKey": []}]
"""Credentials are optional here, because they are by default."""

SECURITY_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, `tss_...`, with AUTH=on."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same in a header of its own.",
    },
}

STREAM_TYPES = ("text/event-stream", "application/x-ndjson")
"""Media types of a stream. A caller that accepts neither by name gets the second."""

_VIOLATION: Schema = {
    "type": "object",
    "description": "A field that cannot be accepted.",
    "required": ["field", "description"],
    "properties": {
        "field": {"type": "string", "description": "Path of the field in the request."},
        "description": {"type": "string", "description": "Why it cannot be accepted."},
        "reason": {"type": "string", "description": "Not used: empty."},
    },
}
_DETAIL: Schema = {
    "type": "object",
    "description": "Of an error: google.rpc.ErrorInfo (`reason`, `domain`, `metadata`), google.rpc.BadRequest "
    "(`field_violations`), or a message that the description of the call names.",
    "required": ["@type"],
    "properties": {
        "@type": {"type": "string", "description": "Type of the detail."},
        "reason": {"$ref": "#/components/schemas/ErrorReason", "description": "Stable name of the reason."},
        "domain": {"type": "string", "description": 'Always "tradingsignals".'},
        "metadata": {
            "type": "object",
            "description": "The entries that ErrorReason lists for the reason, and `request_id`.",
            "additionalProperties": {"type": "string"},
        },
        "field_violations": {
            "type": "array",
            "description": "Every field that cannot be accepted; at most ten.",
            "items": {"$ref": "#/components/schemas/FieldViolation"},
        },
    },
}
_ERROR: Schema = {
    "type": "object",
    "description": "Every error, of the service or of the edge.",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "format": "int32", "description": "gRPC status code, such as 5 for NOT_FOUND."},
        "message": {"type": "string", "description": "The error in words."},
        "details": {
            "type": "array",
            "description": "The error for programs. The first is a google.rpc.ErrorInfo.",
            "items": {"$ref": "#/components/schemas/ErrorDetail"},
        },
    },
}
ERROR_SCHEMAS: dict[str, Schema] = {"Error": _ERROR, "ErrorDetail": _DETAIL, "FieldViolation": _VIOLATION}


def _info(reason: str) -> Schema:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "tradingsignals",
        "metadata": {"request_id": "7c1f0d7e-3b8e-4c55-9f5e-0a4d5f1a2b3c"},
    }


def _refusal(field: str, description: str) -> Schema:
    violation = {"field": field, "description": description, "reason": ""}
    bad = {"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": [violation]}
    return {"code": 3, "message": f"{field}: {description}", "details": [_info("INVALID_FIELD"), bad]}


def _error(code: int, message: str, reason: str) -> Schema:
    return {"code": code, "message": message, "details": [_info(reason)]}


def error_response(description: str, example: Schema | None = None) -> Schema:
    """Return a response with an error."""
    content: Schema = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {
        "description": description,
        "content": {"application/json": content if example is None else content | {"example": example}},
    }


INVALID, TOO_LARGE, NOT_JSON, UNAVAILABLE, OTHER = "Invalid", "TooLarge", "NotJson", "Unavailable", "Error"
"""Names of the responses that many calls have."""

KEY_REUSED = "KeyReused"

IDEMPOTENCY_KEY_PARAMETER: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A text that the caller makes for this request, such as a UUID. The same request with the same key "
    "is done once, and gets the first response each time, for a day at least. Absent: it is done each time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-+\\--~]+$"},
}
REPLAYED_HEADER: Schema = {
    "description": "`true` on the response of an earlier call with the same idempotency key.",
    "schema": {"type": "string", "enum": ["true"]},
}

ERROR_RESPONSES: dict[str, Schema] = {
    INVALID: error_response(
        "A field or a parameter is unknown, repeated, malformed or out of its bounds.",
        _refusal("limit", "must be from 1 to 1000"),
    ),
    TOO_LARGE: error_response("The body is larger than 32 KiB.", _error(8, "it is too large", "REQUEST_TOO_LARGE")),
    NOT_JSON: error_response(
        "The body is not UTF-8 JSON, does not say so, or is compressed.",
        _error(3, "a body must be JSON and say so: content-type: application/json", "UNSUPPORTED_BODY"),
    ),
    UNAVAILABLE: error_response(
        "No server or no database is available, or the server is stopping. Try again.",
        _error(14, "no healthy upstream", "SERVER_UNAVAILABLE"),
    ),
    KEY_REUSED: error_response(
        "The idempotency key was used for another request. Nothing was done.",
        _error(
            6,
            "the idempotency key was used for another request of tradingsignals.v1.SignalService.GenerateSignal: send "
            "each request with a key of its own",
            "IDEMPOTENCY_KEY_REUSED",
        ),
    ),
    OTHER: error_response("Any other failure."),
}
