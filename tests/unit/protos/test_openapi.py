"""The OpenAPI document: how services, fields and comments are converted, and that the committed one is current."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from protos import generate, openapi
from tests.support.openapi import validate_against

from tradingsignals_server.domain.idempotency import KEYED_METHODS

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";

// Sells things.
service ShopService {
  // Sells one thing. NOT_FOUND if there is none, FAILED_PRECONDITION if it is sold.
  rpc Sell(SellRequest) returns (SellResponse) {
    option (google.api.http) = {post: "/things/{name}/sell" body: "*"};
  }
  // Lists things.
  rpc List(ListRequest) returns (ListResponse) {
    option (google.api.http) = {get: "/things" additional_bindings {get: "/old/things"}};
  }
  // Follows sales.
  rpc Follow(ListRequest) returns (stream ListResponse) {
    option (google.api.http) = {get: "/sales"};
  }
  // Takes things in.
  rpc Fill(stream SellRequest) returns (ListResponse);
}

// A purchase.
message SellRequest {
  // Which. Required.
  string name = 1;
  // For how much. Required.
  optional double price = 2;
  // When.
  google.protobuf.Timestamp time = 3;
}

// What was
// sold.
//
// For good.
message SellResponse {
  // The thing.
  Thing thing = 1;
  // Its receipt. Absent if none was printed.
  Receipt receipt = 2;
}

// A thing.
message Thing {
  // Kinds.
  enum Kind {
    // Never sent.
    KIND_UNSPECIFIED = 0;
    // Small.
    TOY = 1;
    // Large.
    TOOL = 2;
  }
  // Its kind.
  Kind kind = 1;
  // How often it was sold.
  int64 sales = 2;
  // Its colour. Absent: none.
  optional string colour = 3;
}

// On paper.
message Receipt {}

// A query of things.
message ListRequest {
  // Only these kinds.
  repeated Thing.Kind kinds = 1;
  // OUT_OF_RANGE if it is too old.
  optional int64 after = 2;
}

// Things.
message ListResponse {
  // The things.
  repeated Thing things = 1;
}

// Reasons.
enum ErrorReason {
  // Never sent.
  ERROR_REASON_UNSPECIFIED = 0;
  // Sold.
  SOLD = 1;
}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "tradingsignals").mkdir()
    (folder / "tradingsignals/shop.proto").write_text(PROTO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "PROTOS", folder)
        patch.setattr(generate, "_INCLUDES", (folder, *generate._INCLUDES))
        image = generate.write_image(folder / "image.binpb")
    return openapi.openapi_document([file for file in image.file if file.name == "tradingsignals/shop.proto"])


def schema(document: Any, name: str) -> Any:
    return document["components"]["schemas"][name]


def test_generated_document_is_valid(shop: Any) -> None:
    validate(shop)


def test_every_binding_is_an_operation(shop: Any) -> None:
    operations = {
        f"{verb} {path}": operation["operationId"]
        for path, verbs in shop["paths"].items()
        for verb, operation in verbs.items()
    }
    assert operations == {
        "post /things/{name}/sell": "Sell",
        "get /things": "List",
        "get /old/things": "ListAtOldThings",
        "get /sales": "Follow",
    }
    (tag,) = shop["tags"]
    assert (tag["name"], tag["description"]) == ("ShopService", "Sells things.")
    assert tag["x-grpc-only"] == [{"x-grpc-method": "shop.v1.ShopService/Fill", "description": "Takes things in."}]
    assert shop["paths"]["/things"]["get"]["x-grpc-method"] == "shop.v1.ShopService/List"


def test_fields_are_in_path_query_or_body(shop: Any) -> None:
    sell = shop["paths"]["/things/{name}/sell"]["post"]
    assert [(each["name"], each["in"], each["required"]) for each in sell["parameters"]] == [("name", "path", True)]
    assert sell["requestBody"]["required"]
    assert sell["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/SellRequest"}
    body = schema(shop, "SellRequest")
    assert (list(body["properties"]), body["required"]) == (["price", "time"], ["price"])
    parameters = shop["paths"]["/things"]["get"]["parameters"]
    assert [(each["name"], each["in"], "required" in each) for each in parameters] == [
        ("kinds", "query", False),
        ("after", "query", False),
    ]


def test_types_are_those_of_the_json_mapping(shop: Any) -> None:
    thing = schema(shop, "Thing")["properties"]
    assert thing["sales"] == {"type": "string", "format": "int64", "description": "How often it was sold."}
    assert thing["kind"] == {"$ref": "#/components/schemas/Thing.Kind", "description": "Its kind."}
    kind = schema(shop, "Thing.Kind")
    assert kind["enum"] == ["TOY", "TOOL"]
    assert kind["description"] == "Kinds.\n\n- `TOY`: Small.\n- `TOOL`: Large."
    things = schema(shop, "ListResponse")["properties"]["things"]
    assert (things["type"], things["items"]) == ("array", {"$ref": "#/components/schemas/Thing"})
    assert schema(shop, "SellRequest")["properties"]["time"] == {
        "type": "string",
        "format": "date-time",
        "description": "When.",
    }


def test_response_fields_are_required_unless_they_may_be_absent(shop: Any) -> None:
    assert schema(shop, "Thing")["required"] == ["kind", "sales"]
    assert schema(shop, "SellResponse")["required"] == ["thing"]


def test_comments_become_descriptions_by_paragraph(shop: Any) -> None:
    assert schema(shop, "SellResponse")["description"] == "What was sold.\n\nFor good."


def test_codes_in_comments_become_responses(shop: Any) -> None:
    responses = shop["paths"]["/things/{name}/sell"]["post"]["responses"]
    invalid = shop["components"]["responses"]["Invalid"]["description"]
    assert {status: response.get("description", response.get("$ref")) for status, response in responses.items()} == {
        "200": "What was sold.\n\nFor good.",
        "400": f"FAILED_PRECONDITION if it is sold. {invalid}",
        "404": "NOT_FOUND if there is none.",
        "413": "#/components/responses/TooLarge",
        "415": "#/components/responses/NotJson",
        "503": "#/components/responses/Unavailable",
        "default": "#/components/responses/Error",
    }
    listed = shop["paths"]["/things"]["get"]["responses"]
    assert listed["400"]["description"] == f"OUT_OF_RANGE if it is too old. {invalid}"
    assert "413" not in listed


def test_streams_have_two_media_types_and_are_marked(shop: Any) -> None:
    follow = shop["paths"]["/sales"]["get"]
    assert list(follow["responses"]["200"]["content"]) == ["text/event-stream", "application/x-ndjson"]
    marked = [path for path, verbs in shop["paths"].items() for each in verbs.values() if "x-server-stream" in each]
    assert marked == ["/sales"]


# --- of the contract itself


@pytest.fixture(scope="module")
def contract() -> Any:
    return json.loads((generate.ROOT / generate.OPENAPI).read_text(encoding="utf-8"))


def test_committed_document_is_valid(contract: Any) -> None:
    validate(contract)


def test_generated_files_are_current() -> None:
    assert generate.differences() == []


def test_difference_names_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    generate.generate(tmp_path)
    (tmp_path / generate.OPENAPI).write_text("{}")
    (tmp_path / generate.EDGE_DESCRIPTORS).unlink()
    too_many = generate.STUBS / "tradingsignals/v1/gone_pb2.py"
    (tmp_path / too_many).write_text("")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.differences() == sorted([generate.OPENAPI, generate.EDGE_DESCRIPTORS, too_many])


def test_paths_are_the_documented_ones(contract: Any) -> None:
    assert {f"{verb.upper()} {path}" for path, verbs in contract["paths"].items() for verb in verbs} == {
        "GET /",
        "GET /health",
        "GET /api/signals/health",
        "GET /api/signals/latest",
        "GET /api/signals/history",
        "POST /api/signals/generate",
        "POST /api/signals/generate-from-db",
        "GET /api/signals/statistics",
        "GET /api/signals/stream",
        "GET /api/signals/outcomes",
        "GET /api/signals/performance",
        "GET /api/access/audit",
        "GET /api/access/caller",
        "GET /api/access/keys",
        "POST /api/notifications/endpoints",
        "GET /api/notifications/endpoints",
        "POST /api/notifications/endpoints/{endpoint_id}",
        "POST /api/notifications/endpoints/{endpoint_id}/delete",
        "POST /api/notifications/endpoints/{endpoint_id}/test",
        "GET /api/notifications/endpoints/{endpoint_id}/deliveries",
        "POST /api/access/keys",
        "POST /api/access/keys/{key_id}/revoke",
        "GET /api/account",
        "GET /api/account/equity",
        "POST /api/account/halt",
        "POST /api/account/resume",
        "GET /api/signals/{signal_id}/explanation",
        "POST /api/signals/{signal_id}/replay",
        "GET /api/signals/positions/active",
        "GET /api/signals/positions/closed",
        "POST /api/signals/positions/{position_id}/close",
        "GET /api/signals/positions/stream",
        "GET /api/signals/model/info",
        "POST /api/signals/model/reload",
        "POST /api/market/bars",
        "GET /api/market/bars",
        "GET /api/market/symbols",
        "GET /api/events",
        "POST /api/backtests",
    }


def test_enum_values_are_listed(contract: Any) -> None:
    assert schema(contract, "Signal.Action")["enum"] == ["BUY", "SELL", "HOLD"]


def test_calls_with_an_idempotency_key_have_its_header_and_refusal(contract: Any) -> None:
    found = set()
    for verbs in contract["paths"].values():
        for operation in verbs.values():
            headers = [each["name"] for each in operation.get("parameters", []) if each["in"] == "header"]
            assert ("422" in operation["responses"]) == (headers == ["Idempotency-Key"]) == bool(headers)
            assert ("headers" in operation["responses"]["200"]) == bool(headers)
            if headers:
                found.add(operation["x-grpc-method"].replace("/", "."))
    assert found == KEYED_METHODS


def test_generate_from_db_accepts_its_fields_in_query_or_body(contract: Any) -> None:
    operation = contract["paths"]["/api/signals/generate-from-db"]["post"]
    assert [each["name"] for each in operation["parameters"] if each["in"] == "query"] == ["symbol", "lookback_bars"]
    assert not operation["requestBody"]["required"]


def test_health_has_a_response_for_503(contract: Any) -> None:
    for path in ("/health", "/api/signals/health"):
        assert "503" in contract["paths"][path]["get"]["responses"]


def test_every_field_is_described(contract: Any) -> None:
    def undescribed(node: Any, path: str) -> list[str]:
        missing = []
        for name, field in node.get("properties", {}).items():
            missing += [] if field.get("description") else [f"{path}.{name}"]
            missing += undescribed(field, f"{path}.{name}")
        return missing

    schemas = contract["components"]["schemas"]
    assert [missing for name, node in schemas.items() for missing in undescribed(node, name)] == []


def test_numbers_of_requests_have_the_bounds_that_the_server_checks(contract: Any) -> None:
    history = {each["name"]: each["schema"] for each in contract["paths"]["/api/signals/history"]["get"]["parameters"]}
    assert history["limit"] == {"type": "integer", "format": "int32", "minimum": 1, "maximum": 1000, "default": 100}
    closed = {
        each["name"]: each["schema"] for each in contract["paths"]["/api/signals/positions/closed"]["get"]["parameters"]
    }
    assert (closed["limit"]["maximum"], closed["limit"]["default"]) == (500, 50)
    bar = schema(contract, "BarInput")["properties"]
    assert (bar["open"]["minimum"], bar["open"]["maximum"], bar["volume"]["minimum"]) == (1e-9, 1e12, 0)
    assert "maximum" not in bar["volume"]
    assert "minimum" not in schema(contract, "Bar")["properties"]["open"], "of a response"


def test_every_number_and_list_of_a_request_has_bounds(contract: Any) -> None:
    without = set()
    for operation in operations(contract):
        named = {each["name"]: each["schema"] for each in operation.get("parameters", [])}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        named |= schema(contract, body["$ref"].rpartition("/")[2])["properties"] if body else {}
        for name, type_ in named.items():
            bounded = {"integer": "minimum", "number": "minimum", "array": "maxItems"}.get(type_.get("type"))
            if (bounded and bounded not in type_) or (type_.get("format") == "int64" and "pattern" not in type_):
                without.add(name)
    assert without == {"seed"}, "declare them in api/mapping/bounds.py"


def test_bodies_are_named_components(contract: Any) -> None:
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]["schema"]
        for operation in operations(contract)
        if "requestBody" in operation
    }
    assert len(bodies) > 5
    for name, body in bodies.items():
        expected = {"PublishBar": "BarInput", "UpdateEndpoint": "EndpointChangesInput"}.get(name, f"{name}Request")
        assert body == {"$ref": f"#/components/schemas/{expected}"}


def test_operations_have_names_of_their_own_without_numbers(contract: Any) -> None:
    names = [operation["operationId"] for operation in operations(contract)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Z][A-Za-z]+", name) for name in names)
    assert "GetHealthAtSignalsHealth" in names


def test_every_operation_has_true_examples(contract: Any) -> None:
    """Each response that was recorded is valid by the schema that the document gives for it."""
    for operation in operations(contract):
        for media_type, content in operation["responses"]["200"]["content"].items():
            assert "example" in content, f"{operation['operationId']}: record it, see protos/record_examples.py"
            for message in messages_of(media_type, content["example"]):
                validate_against(contract, content["schema"], message)
        for each in operation.get("parameters", []):
            if "example" in each:
                validate_against(contract, each["schema"], each["example"])
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            validate_against(contract, body["schema"], body["example"])
    for response in contract["components"]["responses"].values():
        content = response["content"]["application/json"]
        if "example" in content:
            validate_against(contract, content["schema"], content["example"])


def operations(document: Any) -> list[Any]:
    return [operation for verbs in document["paths"].values() for operation in verbs.values()]


def messages_of(media_type: str, example: Any) -> list[Any]:
    """Return the messages of an example. That of a stream is its text."""
    if media_type == "application/json":
        return [example]
    lines = [line.removeprefix("data:").strip() for line in example.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]
