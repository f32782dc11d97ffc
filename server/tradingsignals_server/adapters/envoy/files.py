"""The files that the edge serves itself: the pages below `web/`, what belongs to them, and the OpenAPI document.

Each file is a route of its own with its content in Envoy's memory, so no request reaches a file system: a path that is
not listed here does not exist. The URL of a file is its path below `web/`; that of an `index.html` is its folder.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .contract import RestPath

FOLDER = "files"
"""Where Envoy finds the files, in its folder."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_COMPRESSED_ALREADY = frozenset({".png", ".ico", ".woff2"})
_HASHED = "assets"  # the name of a folder whose files get another name whenever their content changes
_PAGE = "index.html"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may do: run and load files of this origin, and call it. Nothing inline, nothing from elsewhere."""


NO_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark"><title>Not found</title><h1>There is no such page</h1>'
    '<p><a href="/">Dashboard</a></p><p><a href="/docs">Calls</a></p></html>\n'
)
"""What a browser gets at a path that does not exist."""


@dataclass(frozen=True)
class EdgeFile:
    """A file, and the responses with it."""

    url: str  # path of its URL
    source: Path

    @property
    def name(self) -> str:
        """Path of the copy for Envoy in its folder."""
        return f"{FOLDER}{self.url.rstrip('/')}/{_PAGE}" if self.is_page else f"{FOLDER}{self.url}"

    @property
    def is_page(self) -> bool:
        """Whether it is the page of its folder."""
        return self.source.name == _PAGE

    @property
    def pattern(self) -> str:
        """Regular expression of its paths. A page may have a slash at the end, as the paths of calls may.

        Of a path of nothing but slashes Envoy leaves two.
        """
        if self.url == "/":
            return "/{1,2}"
        return re.escape(self.url.rstrip("/")) + "/?" if self.is_page else re.escape(self.url)

    @cached_property
    def content(self) -> bytes:
        """The file as it is."""
        return self.source.read_bytes()

    @cached_property
    def compressed(self) -> bytes | None:
        """The file in gzip, the same bytes each time; None if that saves nothing."""
        if self.source.suffix in _COMPRESSED_ALREADY:
            return None
        packed = gzip.compress(self.content, mtime=0)
        return packed if len(packed) < len(self.content) else None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every response about it, also of one without content."""
        return {
            "etag": f'W/"{self.tag}"',
            # A browser asks each time whether a page has changed, and gets 304 if it has not.
            "cache-control": "public, max-age=31536000, immutable" if self._is_hashed else "no-cache",
            "vary": "accept, accept-encoding" if self.url == "/" else "accept-encoding",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
            **(
                {"content-security-policy": _POLICY, "cross-origin-opener-policy": "same-origin"}
                if self.is_page
                else {}
            ),
        }

    @property
    def content_type(self) -> str:
        """Its media type."""
        return _TYPES[self.source.suffix]

    @cached_property
    def tag(self) -> str:
        """Name of its content."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    @property
    def _is_hashed(self) -> bool:
        return self.source.parent.name == _HASHED


def edge_files(openapi: Path) -> list[EdgeFile]:
    """Return every file that the edge serves; `openapi` is the OpenAPI document.

    Raises:
        KeyError: a file below `web/` has a suffix without a media type.
    """
    return [EdgeFile("/openapi.json", openapi), *_web_files(Path(__file__).parents[2] / "web")]


def methods_of(files: list[EdgeFile]) -> RestPath:
    """Return the methods that files take, with one pattern for all but the page at "/", which is a call too."""
    return RestPath("|".join(file.pattern for file in files if file.url != "/"), ("GET", "HEAD"))


def write_files(files: list[EdgeFile], folder: Path) -> None:
    """Write the files, and their compressed forms beside them, for an Envoy in `folder`."""
    for file in files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        if file.compressed is not None:
            target.with_name(f"{target.name}.gz").write_bytes(file.compressed)


def _web_files(web: Path) -> Iterator[EdgeFile]:
    for source in sorted(path for path in web.rglob("*") if path.is_file()):
        path = "/" + source.relative_to(web).as_posix()
        yield EdgeFile((path.removesuffix(f"/{_PAGE}") or "/") if source.name == _PAGE else path, source)
