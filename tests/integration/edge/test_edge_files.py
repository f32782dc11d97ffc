"""The files that the edge serves itself: content, headers, compression, caching, and what is not served."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from tests.support.deadlines import DEADLINE, within
from tests.support.sockets import connected

from tradingsignals_server.adapters.envoy.files import edge_files
from tradingsignals_server.adapters.envoy.process import Edge

ROOT = Path(__file__).parents[3]
FILES = edge_files(ROOT / "envoy" / "openapi.json")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
NO_ENCODING = {"accept-encoding": "identity"}


def asked(url: str) -> dict[str, str]:
    """Headers of a request that gets the file at `url`."""
    return {"accept": BROWSER} if url == "/" else {}


async def test_every_file_is_served_with_its_content_and_type(rest: httpx.AsyncClient) -> None:
    assert {"/", "/docs", "/openapi.json"} <= {file.url for file in FILES}
    for file in FILES:
        response = await rest.get(file.url, headers=asked(file.url) | NO_ENCODING)
        assert response.status_code == 200, file.url
        assert response.content == file.source.read_bytes(), file.url
        assert response.headers["content-type"] == file.content_type
        assert "content-encoding" not in response.headers
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "accept-encoding" in response.headers["vary"]


async def test_files_are_compressed_for_those_that_accept_gzip(rest: httpx.AsyncClient) -> None:
    for file in FILES:
        for accepted, packed in (
            ("gzip, deflate, br, zstd", True),
            ("br;q=1.0, GZIP;q=0.5", True),
            ("gzip;q=0", False),
            ("gzip; q=0.0, identity", False),
            ("br", False),
        ):
            headers = asked(file.url) | {"accept-encoding": accepted}
            async with rest.stream("GET", file.url, headers=headers) as response:
                raw = b"".join([part async for part in response.aiter_raw()])
            wants_gzip = packed and file.compressed is not None
            assert response.headers.get("content-encoding") == ("gzip" if wants_gzip else None), (file.url, accepted)
            assert (gzip.decompress(raw) if wants_gzip else raw) == file.content


async def test_known_file_is_not_sent_again(rest: httpx.AsyncClient) -> None:
    for file in FILES:
        first = await rest.get(file.url, headers=asked(file.url))
        known = asked(file.url) | {"if-none-match": first.headers["etag"]}
        for response in (await rest.get(file.url, headers=known), await rest.head(file.url, headers=known)):
            assert (response.status_code, response.content) == (304, b""), file.url
            for name in ("etag", "cache-control", "vary"):
                assert response.headers[name] == first.headers[name]
        other = asked(file.url) | {"if-none-match": 'W/"0"'}
        assert (await rest.get(file.url, headers=other)).status_code == 200


async def test_files_with_a_hashed_name_are_kept_for_good(rest: httpx.AsyncClient) -> None:
    for file in FILES:
        response = await rest.get(file.url, headers=asked(file.url))
        hashed = "/assets/" in file.url
        expected = "public, max-age=31536000, immutable" if hashed else "no-cache"
        assert response.headers["cache-control"] == expected, file.url


async def test_pages_may_run_files_of_their_origin_only(rest: httpx.AsyncClient) -> None:
    for url in ("/", "/docs", "/docs/"):
        headers = (await rest.get(url, headers={"accept": BROWSER})).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        assert (policy["base-uri"], policy["form-action"], policy["frame-ancestors"]) == ("'none'",) * 3
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML;level=1", True),
        ("text/plain, text/html;q=0.5", True),
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/plain, */*", False),  # axios
        ("application/json, text/html;q=0.5", False),
        ("application/json;charset=utf-8, text/html;q=0.9", False),
        ("text/html;q=0.4, application/json;q=0.5", False),
        ("text/html;level=1;q=.85,text/plain,Application/JSON ; q=0.9, */*", False),
        ("application/json;q=0.5,text/html", True),
        ("application/json;q=0.5, text/plain, text/html;q=0.5", True),
        ("application/json, text/html", True),
        ("text/html,application/json;q=0.9,*/*;q=0.8", True),
        ("text/html;q=0.9, application/json;q=0.1", True),
        ("application/json;q=0, text/html;q=0.1", True),
        ("text/html;q=0, */*", False),
        ("*/*, text/html; q=0.000", False),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", False),  # HttpURLConnection of Java
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_root_is_a_page_for_browsers_and_json_for_others(
    edge: Edge, method: str, accept: str | None, page: bool
) -> None:
    async with httpx.AsyncClient(base_url=edge.url, timeout=DEADLINE) as client:
        client.headers.pop("accept")
        response = await client.request(method, "/", headers={} if accept is None else {"accept": accept})
    assert response.headers["content-type"] == ("text/html; charset=utf-8" if page else "application/json")
    assert "accept" in response.headers["vary"].split(", ")
    assert response.headers["cache-control"] == ("no-cache" if page else "no-store, no-transform")


async def test_page_at_the_root_takes_no_other_method_and_keeps_its_query(rest: httpx.AsyncClient) -> None:
    assert (await rest.post("/", headers={"accept": BROWSER})).status_code == 405
    assert (await rest.get("/?symbol=USDCOP", headers={"accept": BROWSER})).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/docs/nope.js", "/assets/", "/docs/assets/", "/index.html", "/docs/index.html", "/openapi.json/"),
        *("/docs/../../etc/passwd", "/docs/..", "/%2e%2e/etc/passwd", "/docs/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd"),
        *("/docs/docs.js.gz", "/openapi.json.gz", "/DOCS", "/files/openapi.json", "/envoy.yaml", "/descriptors.binpb"),
        *("/docs%2fdocs.js", "/docs%5cdocs.js", "/docs/docs.js%00", "/docs;/docs.js", "/docs/docs.js/x"),
    ],
)
async def test_other_paths_are_not_files(edge: Edge, path: str) -> None:
    """The path is sent as it is, which a client library would not do."""
    async with connected(edge.port) as (reader, writer):
        writer.write(
            f"GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {BROWSER}\r\nconnection: close\r\n\r\n".encode()
        )
        response = (await within(reader.read())).decode()
    status = int(response.split(" ", 2)[1])
    if path == "/docs/..":  # the root, whose page it is
        assert status == 200
        return
    assert status in (400, 404), response
    assert f"content-type: {'text/html; charset=utf-8' if status == 404 else 'application/json'}\r\n" in response


@pytest.mark.parametrize("path", ["//", "///", "/docs//", "//docs"])
async def test_slashes_too_many_lead_to_the_page(edge: Edge, path: str) -> None:
    async with httpx.AsyncClient(timeout=DEADLINE) as client:
        url = httpx.URL(edge.url).copy_with(raw_path=path.encode())
        response = await client.send(httpx.Request("GET", url, headers={"accept": BROWSER}))
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["/docs/x", "/nope", "/api/nope"])
async def test_path_that_does_not_exist_is_a_page_for_browsers_and_json_for_others(
    rest: httpx.AsyncClient, path: str
) -> None:
    page = await rest.get(path, headers={"accept": BROWSER})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert {'<a href="/">', '<a href="/docs">'} <= set(re.findall("<a [^>]*>", page.text))
    assert (await rest.head(path, headers={"accept": BROWSER})).status_code == 404
    for method, accept in (("GET", "*/*"), ("GET", "application/json"), ("POST", BROWSER)):
        other = await rest.request(method, path, headers={"accept": accept})
        assert (other.status_code, other.headers["content-type"]) == (404, "application/json"), accept
        assert other.json()["details"][0]["reason"] == "UNKNOWN_PATH"
    web = await rest.post(path, headers={"accept": BROWSER, "content-type": "application/grpc-web+proto"})
    assert web.headers["content-type"].startswith("application/grpc-web")


async def test_file_takes_get_and_head_only(rest: httpx.AsyncClient) -> None:
    for file in FILES:
        response = await rest.put(file.url, headers=asked(file.url))
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD"), file.url
