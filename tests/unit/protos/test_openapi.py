"""The OpenAPI document: how services, fields and comments are converted, and that the committed one is current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from protos import generate, openapi

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
        "get /old/things": "List_2",
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
    body = sell["requestBody"]["content"]["application/json"]["schema"]
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
    body = shop["paths"]["/things/{name}/sell"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["time"] == {"type": "string", "format": "date-time", "description": "When."}


def test_response_fields_are_required_unless_they_may_be_absent(shop: Any) -> None:
    assert schema(shop, "Thing")["required"] == ["kind", "sales"]
    assert schema(shop, "SellResponse")["required"] == ["thing"]


def test_comments_become_descriptions_by_paragraph(shop: Any) -> None:
    assert schema(shop, "SellResponse")["description"] == "What was sold.\n\nFor good."


def test_codes_in_comments_become_responses(shop: Any) -> None:
    responses = shop["paths"]["/things/{name}/sell"]["post"]["responses"]
    assert {status: response.get("description") for status, response in responses.items()} == {
        "200": "What was sold.\n\nFor good.",
        "404": "NOT_FOUND if there is none.",
        "400": "FAILED_PRECONDITION if it is sold.",
        "default": None,
    }
    assert shop["paths"]["/things"]["get"]["responses"]["400"]["description"] == "OUT_OF_RANGE if it is too old."


def test_streams_have_two_media_types(shop: Any) -> None:
    assert list(shop["paths"]["/sales"]["get"]["responses"]["200"]["content"]) == [
        "text/event-stream",
        "application/x-ndjson",
    ]


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
        "GET /api/events",
        "POST /api/backtests",
    }


def test_enum_values_are_listed(contract: Any) -> None:
    assert schema(contract, "Signal.Action")["enum"] == ["BUY", "SELL", "HOLD"]


def test_generate_from_db_accepts_its_fields_in_query_or_body(contract: Any) -> None:
    operation = contract["paths"]["/api/signals/generate-from-db"]["post"]
    assert [each["name"] for each in operation["parameters"]] == ["symbol", "lookback_bars"]
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
