"""Envoy's configuration, rendered from the settings and the contract."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tradingsignals_server.adapters.envoy.contract import STREAM_SERVICES, read_contract
from tradingsignals_server.adapters.envoy.files import edge_files
from tradingsignals_server.adapters.envoy.identity import EdgeTls, EdgeTokens
from tradingsignals_server.adapters.envoy.render import (
    EDGE_ERRORS,
    KEPT_HEADERS,
    Address,
    EdgeConfig,
    render,
    write_edge_files,
)
from tradingsignals_server.api.access.gate import ADDRESS_KEY, EDGE_KEY
from tradingsignals_server.transport.certificates import TlsFiles
from tradingsignals_server.transport.grpc.metadata import LAST_EVENT_ID_KEY, PEER_KEY, REQUEST_ID, REQUEST_ID_KEY

EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - nothing listens there
CONFIG = EdgeConfig(Address("127.0.0.1", 8003), Address("127.0.0.1", 50051))
ENVOY = Path(__file__).parents[4] / "envoy"


# The parser of libyaml, if PyYAML has it: the one in Python takes half a second for a document.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parsed(text: str) -> Any:
    return yaml.load(text, Loader=LOADER)  # noqa: S506 - both are safe loaders


@cache
def rendered(config: EdgeConfig = CONFIG) -> Any:
    """Return the document of a configuration, which the tests share."""
    return parsed(render(config, Path("/edge")))


def manager(document: Any) -> Any:
    """Return the HTTP connection manager."""
    (listener,) = document["static_resources"]["listeners"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def served_hosts(document: Any) -> Any:
    """Return the virtual host of the served hosts."""
    others, served = manager(document)["route_config"]["virtual_hosts"]
    assert others["domains"] == ["*"]
    return served


def routes(document: Any) -> list[Any]:
    found: list[Any] = served_hosts(document)["routes"]
    return found


def cluster(document: Any) -> Any:
    (found,) = document["static_resources"]["clusters"]
    return found


def socket_address(at: Any) -> tuple[str, int]:
    return at["socket_address"]["address"], at["socket_address"]["port_value"]


def test_listener_and_backend_have_their_addresses() -> None:
    document = rendered(EdgeConfig(Address("::1", 1), Address("10.0.0.7", 2)))
    (listener,) = document["static_resources"]["listeners"]
    endpoint = cluster(document)["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert socket_address(listener["address"]) == ("::1", 1)
    assert socket_address(endpoint["address"]) == ("10.0.0.7", 2)


def test_calls_are_balanced_and_retried_at_another_server() -> None:
    config = EdgeConfig(CONFIG.listen, CONFIG.backend, (Address("server", 1), Address("10.0.0.7", 2)))
    found = cluster(rendered(config))
    (locality,) = found["load_assignment"]["endpoints"]
    backends = [socket_address(one["endpoint"]["address"]) for one in locality["lb_endpoints"]]
    assert backends == [("127.0.0.1", 50051), ("server", 1), ("10.0.0.7", 2)]
    assert (found["type"], found["lb_policy"]) == ("STRICT_DNS", "ROUND_ROBIN")
    host = served_hosts(rendered(config))
    (predicate,) = host["retry_policy"]["retry_host_predicate"]
    assert predicate["name"] == "envoy.retry_host_predicates.previous_hosts"


@pytest.mark.parametrize(
    ("host", "kind"),
    [("127.0.0.1", "STATIC"), ("::1", "STATIC"), ("server", "STRICT_DNS"), ("10.example.com", "STRICT_DNS")],
)
def test_backend_is_a_dns_name_or_an_ip_address(host: str, kind: str) -> None:
    assert cluster(rendered(EdgeConfig(CONFIG.listen, Address(host, 50051))))["type"] == kind


def test_admin_interface_is_a_private_socket_or_an_address() -> None:
    assert rendered()["admin"]["address"] == {"pipe": {"path": "admin.sock", "mode": 0o600}}
    document = rendered(EdgeConfig(CONFIG.listen, CONFIG.backend, admin=Address("127.0.0.1", 9901)))
    assert socket_address(document["admin"]["address"]) == ("127.0.0.1", 9901)


@pytest.mark.parametrize("folder", ["/a b", "/\U0001f4c8 año", "/\"'\\", "/\u2028\x7f\\ud83d\\ude00"])
def test_any_folder_name_is_quoted(folder: str) -> None:
    (transcoder,) = (
        each["typed_config"]
        for each in manager(parsed(render(CONFIG, Path(folder))))["http_filters"]
        if "transcoder" in each["name"]
    )
    assert transcoder["proto_descriptor"] == f"{folder}/descriptors.binpb"


@pytest.mark.parametrize(
    ("listen", "own"),
    [("127.0.0.1", []), ("::1", []), (EVERY_INTERFACE, []), ("10.0.0.7", ["10.0.0.7"]), ("fe80::1", ["[fe80::1]"])],
)
def test_local_and_allowed_hosts_are_served(listen: str, own: list[str]) -> None:
    config = EdgeConfig(Address(listen, 8003), CONFIG.backend, allowed_hosts=("a.example", "*.b.example"))
    served = served_hosts(rendered(config))
    assert served["domains"] == ["localhost", "*.localhost", "127.0.0.1", "[::1]", *own, "a.example", "*.b.example"]


def test_access_log_is_off_by_default() -> None:
    assert "access_log" not in manager(rendered())
    document = rendered(EdgeConfig(CONFIG.listen, CONFIG.backend, access_log=True))
    assert manager(document)["access_log"][0]["name"] == "envoy.access_loggers.stdout"


def test_all_services_of_the_contract_have_rest_routes() -> None:
    descriptors = FileDescriptorSet.FromString((ENVOY / "descriptors.binpb").read_bytes())
    services = {
        f"tradingsignals.v1.{service.name}"
        for file in descriptors.file
        if file.package == "tradingsignals.v1"
        for service in file.service
    }
    (transcoder,) = (
        each["typed_config"] for each in manager(rendered())["http_filters"] if "transcoder" in each["name"]
    )
    assert set(transcoder["services"]) == services
    assert transcoder["proto_descriptor"] == "/edge/descriptors.binpb"


@pytest.mark.parametrize("path", ["/api/signals/stream", "/api/signals/positions/stream", "/api/events"])
def test_streams_have_no_timeout_and_two_encodings(path: str) -> None:
    here = [route for route in routes(rendered()) if route["match"].get("safe_regex", {}).get("regex") == f"{path}/?"]
    found = [route for route in here if "route" in route]
    assert [route["route"]["timeout"] for route in found] == ["0s", "0s"]
    accepted = [
        [(*header["string_match"], header.get("invert_match", False)) for header in route["match"].get("headers", [])]
        for route in found
    ]
    assert accepted == [[("contains", "ignore_case", False), ("safe_regex", True)], []]
    assert found[0]["match"]["headers"][0]["string_match"]["contains"] == "text/event-stream"
    transcoders = [route["typed_per_filter_config"]["envoy.filters.http.grpc_json_transcoder"] for route in found]
    assert [transcoder["services"] for transcoder in transcoders] == [
        ["tradingsignals.edge.v1.ServerSentEventsService"],
        ["tradingsignals.edge.v1.NewlineDelimitedService"],
    ]


def test_text_services_have_the_paths_of_the_public_streams() -> None:
    """The request types are those of the public methods, so parameters and refusals are the same."""
    described = FileDescriptorSet.FromString((ENVOY / "descriptors.binpb").read_bytes())
    streams = {
        package: {
            (service.name, method.options.Extensions[annotations_pb2.http].get, method.name, method.input_type)
            for file in described.file
            if file.package == package
            for service in file.service
            for method in service.method
            if method.server_streaming and not method.options.Extensions[annotations_pb2.http].body
        }
        for package in ("tradingsignals.v1", "tradingsignals.edge.v1")
    }
    public = {stream[1:] for stream in streams["tradingsignals.v1"]}
    assert public
    for name, *_ in STREAM_SERVICES:
        short = name.rpartition(".")[2]
        assert {stream[1:] for stream in streams["tradingsignals.edge.v1"] if stream[0] == short} == public


def test_streams_go_to_the_fanout_server_if_configured() -> None:
    """All streams and unary calls use it, over REST and gRPC; uploads, health and reflection do not."""
    document = rendered(EdgeConfig(CONFIG.listen, CONFIG.backend, fanout=(Address("127.0.0.1", 50052),)))
    server, fanout = document["static_resources"]["clusters"]
    assert (server["name"], fanout["name"]) == ("server", "fanout")
    (endpoint,) = fanout["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert socket_address(endpoint["endpoint"]["address"]) == ("127.0.0.1", 50052)
    own = {"name", "load_assignment"}
    assert {key: fanout[key] for key in fanout.keys() - own} == {key: server[key] for key in server.keys() - own}
    there = {
        match.get("path") or match.get("prefix") or match["safe_regex"]["regex"]
        for route in routes(document)
        for match in [route["match"]]
        if route.get("route", {}).get("cluster") == "fanout"
    }
    assert there == {
        "/tradingsignals.v1.SignalService/StreamSignals",
        "/tradingsignals.v1.PositionService/StreamPositions",
        "/tradingsignals.v1.EventService/StreamEvents",
        "/api/signals/stream/?",
        "/api/signals/positions/stream/?",
        "/api/events/?",
        "/api/backtests/?",
        *("/?", "/health/?", "/api/signals/health/?", "/api/market/bars/?", "/api/market/symbols/?"),
        *("/api/signals/latest/?", "/api/signals/history/?", "/api/signals/statistics/?", "/api/signals/outcomes/?"),
        *("/api/notifications/endpoints/?", "/api/notifications/endpoints/[^/]+/?"),
        *(f"/api/notifications/endpoints/[^/]+/{name}/?" for name in ("delete", "test", "deliveries")),
        *("/api/access/keys/?", "/api/access/keys/[^/]+/revoke/?", "/api/access/audit/?", "/api/access/caller/?"),
        *("/api/signals/performance/?", "/api/account/?", "/api/account/equity/?"),
        *("/api/account/halt/?", "/api/account/resume/?"),
        *("/api/signals/generate/?", r"/api/signals/generate\-from\-db/?"),
        *("/api/signals/positions/active/?", "/api/signals/positions/closed/?", "/api/signals/positions/[^/]+/close/?"),
        *("/api/signals/model/info/?", "/api/signals/model/reload/?"),
        *("/api/signals/[^/]+/explanation/?", "/api/signals/[^/]+/replay/?"),
        "/tradingsignals.v1.",
        "/",
    }
    assert {route["route"]["cluster"] for route in routes(rendered()) if "route" in route} == {"server"}


def test_only_unprocessed_calls_are_retried() -> None:
    host = served_hosts(rendered())
    assert host["retry_policy"]["retry_on"] == "connect-failure,refused-stream"
    assert not [route for route in routes(rendered()) if "retry_policy" in route.get("route", {})]


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/api/signals/positions/p1/close?position_id=p2", True),
        ("/api/signals/positions/p1/close?price=1&positionId=p2", True),
        ("/api/signals/positions/p1/close/?%70osition_id=p2", True),
        ("/api/signals/positions/p1/close?position_id", True),
        ("/api/signals/positions/p1/close?price=1", False),
        ("/api/signals/positions/p1/close?price=%31", False),
        ("/api/signals/positions/position_id/close", False),
        ("/api/signals/positions/closed?position_id=p2", False),
        ("/api/signals/s1/explanation?signal_id=s2", True),
        ("/api/signals/s1/replay?signalId=s2", True),
        ("/api/signals/s1/explanation", False),
    ],
)
def test_field_of_the_path_is_refused_in_the_query(path: str, refused: bool) -> None:
    patterns = [
        header["string_match"]["safe_regex"]["regex"]
        for route in routes(rendered())
        for header in route["match"].get("headers", [])
        if header["name"] == ":path" and "invert_match" not in header and "safe_regex" in header["string_match"]
    ]
    assert any(re.fullmatch(pattern, path) for pattern in patterns) is refused


def test_pattern_accepts_only_percent_encoded_utf8() -> None:
    (pattern,) = (
        re.compile(header["string_match"]["safe_regex"]["regex"])
        for route in routes(rendered())
        for header in route["match"].get("headers", [])
        if header["name"] == ":path" and "invert_match" in header and route["direct_response"]["status"] == 400
    )
    # The first and last characters of each length, and around the surrogates.
    for (
        character
    ) in "\x00\x7f\x80\u07ff\u0800\u0fff\u1000\ucfff\ud7ff\ue000\uffff\U00010000\U0003ffff\U00040000\U0010ffff":
        escaped = "".join(f"%{byte:02X}" for byte in character.encode())
        assert pattern.fullmatch(f"/a?b={escaped}&c={escaped.lower()}"), escaped
    for octets in (
        "80",
        "C0 80",
        "C1 BF",
        "C2",
        "C2 41",
        "E0 9F BF",
        "ED A0 80",
        "F0 8F BF BF",
        "F4 90 80 80",
        "F5",
        "FF",
    ):
        escaped = "".join(f"%{octet}" for octet in octets.split())
        assert not pattern.fullmatch(f"/a?b={escaped}"), escaped
    assert not pattern.fullmatch("/a?b=%zz")


def test_every_status_of_envoy_has_a_grpc_code_and_a_reason() -> None:
    mappers = manager(rendered())["local_reply_config"]["mappers"]
    codes = {
        mapper["filter"]["status_code_filter"]["comparison"]["value"]["default_value"]: mapper["body_format_override"]
        for mapper in mappers
        if "status_code_filter" in mapper["filter"]
    }
    assert codes.pop(399) == {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}
    found = {status: (body["json_format"]["code"], body["json_format"]["details"][0]) for status, body in codes.items()}
    assert {status: (code, info["reason"]) for status, (code, info) in found.items()} == EDGE_ERRORS
    assert all(info["domain"] == "tradingsignals" for _, info in found.values())


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/api/signals/history?limit=1&limit=2", "limit"),
        ("/api/signals/history?limit=1&action=BUY&limit=1", "limit"),
        ("/api/signals/history?action=BUY&limit&limit=2", "limit"),
        ("/api/signals/history/?symbol=&symbol=", "symbol"),
        ("/api/events?resume_after=1&resumeAfter=2", "resume_after"),
        ("/api/events?symbols=A&symbols=B&kinds=SIGNAL&kinds=HEARTBEAT", None),
        ("/api/signals/history?symbol=limit=1&limit=2", None),
        ("/api/signals/history?symbol=a&page_token=symbol", None),
        ("/api/events?start_time=1&end_time=2&symbol=3&symbols=4", None),
        ("/api/signals/history?limit=1", None),
        ("/api/signals/performance?by=ACTION&by=SYMBOL", None),
    ],
)
def test_parameter_with_one_value_is_refused_if_it_is_repeated(path: str, refused: str | None) -> None:
    fields = read_contract((ENVOY / "descriptors.binpb").read_bytes()).repeated_fields
    assert [field.name for field in fields if re.fullmatch(field.pattern, path)] == ([refused] if refused else [])


def test_pages_have_nothing_inline_and_nothing_from_elsewhere() -> None:
    pages = [file for file in edge_files(ENVOY / "openapi.json") if file.is_page]
    assert pages
    for page in pages:
        inline = re.findall(r"<style|\bstyle=|\son\w+=|<script(?![^>]* src=)", page.content.decode())
        elsewhere = re.findall(r"(?:src|href)=\"(?:https?:)?//", page.content.decode())
        assert (inline, elsewhere) == ([], []), page.url


def test_written_folder_contains_all_that_envoy_needs(tmp_path: Path) -> None:
    config = write_edge_files(CONFIG, tmp_path / "new" / "edge")
    assert sorted(path.name for path in config.parent.iterdir()) == ["descriptors.binpb", "envoy.yaml", "files"]
    assert (config.parent / "descriptors.binpb").read_bytes() == (ENVOY / "descriptors.binpb").read_bytes()
    named = set(re.findall(rf'"({re.escape(str(tmp_path))}/new/edge/[^"]+)"', config.read_text()))
    written = {str(path) for path in config.parent.rglob("*") if path.is_file() and path != config}
    assert named == written
    assert f"{tmp_path}/new/edge/files/openapi.json.gz" in written


def test_compressed_files_are_the_same_bytes_each_time() -> None:
    first, second = (edge_files(ENVOY / "openapi.json") for _ in range(2))
    assert [file.compressed for file in first] == [file.compressed for file in second]


def test_folder_may_have_another_path_in_a_container(tmp_path: Path) -> None:
    text = write_edge_files(CONFIG, tmp_path, mounted_at=Path("/etc/envoy")).read_text()
    assert '"/etc/envoy/descriptors.binpb"' in text
    assert str(tmp_path) not in text


def test_wrong_method_is_refused_on_every_path() -> None:
    described = FileDescriptorSet.FromString((ENVOY / "descriptors.binpb").read_bytes())
    methods: dict[str, set[str]] = {}
    for file in described.file:
        for service in file.service if file.package == "tradingsignals.v1" else ():
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                for verb in ("get", "post"):
                    for binding in (rule, *rule.additional_bindings):
                        if path := getattr(binding, verb):
                            methods.setdefault(path, set()).update({"get": {"GET", "HEAD"}, "post": {"POST"}}[verb])
    found = {path.pattern: set(path.methods) for path in read_contract(described.SerializeToString()).rest_paths}
    assert len(found) == len(methods) > 15
    for path, allowed in methods.items():
        plain = path.replace("{", "").replace("}", "")
        assert [takes for pattern, takes in found.items() if re.fullmatch(pattern, plain)] == [allowed]


def test_headers_that_the_server_reads_are_kept() -> None:
    assert {REQUEST_ID_KEY, LAST_EVENT_ID_KEY} < set(KEPT_HEADERS)
    assert {EDGE_KEY, ADDRESS_KEY}.isdisjoint(KEPT_HEADERS)  # the edge itself sets them, after this filter
    assert PEER_KEY not in KEPT_HEADERS  # it marks a call from another server, which no caller may claim
    assert REQUEST_ID.pattern == r"[\x21-\x7e]{1,128}"  # [!-~], size() <= 128 in the edge


def test_servers_learn_the_address_of_a_caller_by_the_secret_of_the_edge() -> None:
    assert "request_headers_to_add" not in served_hosts(rendered())
    added = served_hosts(rendered(EdgeConfig(CONFIG.listen, CONFIG.backend, secret="s'e\"c")))["request_headers_to_add"]  # noqa: S106 - of this test
    assert {each["header"]["key"]: each["header"]["value"] for each in added} == {
        EDGE_KEY: "s'e\"c",
        ADDRESS_KEY: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    }
    assert {each["append_action"] for each in added} == {"OVERWRITE_IF_EXISTS_OR_ADD"}


def test_private_configuration_is_for_its_user_only(tmp_path: Path) -> None:
    for is_private, mode in ((False, 0o044), (True, 0), (True, 0)):
        path = write_edge_files(CONFIG, tmp_path, is_private=is_private)
        assert path.stat().st_mode & 0o044 == mode


def test_streams_are_not_traced_and_calls_are() -> None:
    config = replace(CONFIG, collector=Address("collector", 4317), traced_share=0.25)
    document = rendered(config)
    assert manager(document)["tracing"]["random_sampling"] == {"value": 25.0}
    untraced = [route for route in routes(document) if "tracing" in route]
    assert all(route["tracing"] == {"overall_sampling": {"numerator": 0}} for route in untraced)
    endless = [route for route in routes(document) if route.get("route", {}).get("timeout") == "0s"]
    prefixes = [route["match"].get("prefix") for route in endless if route not in untraced]
    assert prefixes == ["/tradingsignals.v1."], "only calls with one response are left"
    assert untraced
    assert not [route for route in routes(rendered()) if "tracing" in route]
    assert "tracing" not in manager(rendered())


@pytest.mark.parametrize("document", ["architecture", "security"])
def test_documents_state_the_limits_of_the_edge(document: str) -> None:
    text = (ENVOY.parent / f"docs/{document}.md").read_text(encoding="utf-8").replace("\n", " ")
    http, edge = manager(rendered()), CONFIG
    unary = {route["route"]["timeout"] for route in routes(rendered()) if "route" in route} - {"0s"}
    assert unary == {f"{edge.rest_timeout_seconds}s"}
    stated = {
        "headers": (r"(\d+) s for the headers", http["request_headers_timeout"]),
        "request": (r"(\d+) s until a request has arrived", http["request_timeout"]),
        "response": (r"(\d+) s for (?:its response|the response of a REST call)", *unary),
        "idle": (r"(\d+) s for an idle connection", http["common_http_protocol_options"]["idle_timeout"]),
    }
    for name, (pattern, limit) in stated.items():
        assert [f"{found}s" for found in re.findall(pattern, text)] == [limit], name
    body, streams = edge.max_body_bytes // 1024, http["http2_protocol_options"]["max_concurrent_streams"]
    assert re.search(rf"REST {body} KiB|{body} KiB for a REST body", text)
    assert f"{streams:,} streams on a connection" in text
    assert (
        f"{http['max_request_headers_kb']} KiB and {http['common_http_protocol_options']['max_headers_count']}" in text
    )


def test_only_origins_of_the_setting_are_let_read_across_origins() -> None:
    def policy(*origins: str) -> Any:
        config = EdgeConfig(CONFIG.listen, CONFIG.backend, cors_origins=origins)
        return served_hosts(rendered(config))["typed_per_filter_config"]["envoy.filters.http.cors"]

    assert policy()["allow_origin_string_match"] == []
    listed = policy("https://desk.example", "http://a.example:1")["allow_origin_string_match"]
    assert listed == [{"exact": "https://desk.example"}, {"exact": "http://a.example:1"}]


def test_keys_of_tokens_are_a_file_or_are_fetched_with_the_certificate_checked() -> None:
    def tokens(jwks: str) -> Any:
        tokens = EdgeTokens("https://login.example", "signals", jwks, 600)
        document = rendered(EdgeConfig(CONFIG.listen, CONFIG.backend, tokens=tokens))
        (filter_,) = [each for each in manager(document)["http_filters"] if each["name"].endswith("jwt_authn")]
        return filter_["typed_config"]["providers"]["tokens"], document["static_resources"]["clusters"]

    provider, _ = tokens("/keys.json")
    assert provider["local_jwks"] == {"filename": "/keys.json"}
    assert provider["require_expiration"] is True
    assert (provider["audiences"], provider["max_lifetime"]) == (["signals"], "600s")
    provider, clusters = tokens("https://login.example/keys")
    assert provider["remote_jwks"]["http_uri"]["uri"] == "https://login.example/keys"
    (cluster_,) = [each for each in clusters if each["name"] == "jwks"]
    assert cluster_["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]["trusted_ca"]
    socket = cluster_["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert socket_address(socket) == ("login.example", 443)


def test_every_cluster_of_servers_has_mutual_tls_with_their_name(tmp_path: Path) -> None:
    tls = TlsFiles(tmp_path / "a/tls.crt", tmp_path / "a/tls.key", tmp_path / "b/ca.crt", "signals-server")
    config = EdgeConfig(CONFIG.listen, CONFIG.backend, fanout=(CONFIG.backend,), servers_tls=tls)
    document = parsed(write_edge_files(config, tmp_path / "edge").read_text())
    assert document["node"]["id"], "or Envoy reads no certificates"
    for each in document["static_resources"]["clusters"]:
        context = each["transport_socket"]["typed_config"]
        assert context["sni"] == "signals-server"
        assert context["common_tls_context"]["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_3"
    own = parsed((tmp_path / "edge/edge.yaml").read_text())["resources"][0]["tls_certificate"]
    assert own["certificate_chain"] == {"filename": str(tmp_path / "a/tls.crt")}
    servers = parsed((tmp_path / "edge/servers.yaml").read_text())["resources"][0]["validation_context"]
    assert servers["watched_directory"] == {"path": str(tmp_path / "b")}
    assert servers["match_typed_subject_alt_names"] == [{"san_type": "DNS", "matcher": {"exact": "signals-server"}}]


def test_public_port_is_encrypted_with_certificates_of_files(tmp_path: Path) -> None:
    tls = EdgeTls(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem", client_required=False)
    config = write_edge_files(EdgeConfig(CONFIG.listen, CONFIG.backend, tls=tls), tmp_path / "edge")
    (listener,) = parsed(config.read_text())["static_resources"]["listeners"]
    context = listener["filter_chains"][0]["transport_socket"]["typed_config"]
    assert context["require_client_certificate"] is False
    secret = parsed((tmp_path / "edge/tls.yaml").read_text())["resources"][0]["tls_certificate"]
    assert secret["private_key"] == {"filename": str(tmp_path / "key.pem")}
    assert secret["watched_directory"] == {"path": str(tmp_path)}
    clients = parsed((tmp_path / "edge/clients.yaml").read_text())["resources"][0]["validation_context"]
    assert clients["trusted_ca"] == {"filename": str(tmp_path / "ca.pem")}
