"""Atomic creation of a file, which never overwrites another file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..adapters.onnx.errors import ExportRefused


def require_new(out: Path) -> None:
    """Check that `out` does not exist.

    Raises:
        ExportRefused: it exists.
    """
    if os.path.lexists(out):
        raise ExportRefused(f"{out}: exists already and is not overwritten; name the file of a new version with --out")


@contextmanager
def new_file(out: Path, content: bytes) -> Iterator[Path]:
    """Write `content` to a temporary file beside `out`, and rename it to `out` if the block raises no exception.

    The folder is created if necessary.

    Raises:
        ExportRefused: `out` exists, or cannot be written.
    """
    require_new(out)
    # Under another name, because a service that watches the folder loads a file as soon as it has its name.
    written = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(content)
        yield written
        # Unlike a rename, this fails if a file was created meanwhile.
        os.link(written, out)
    except FileExistsError as error:
        require_new(out)
        raise ExportRefused(f"{out}: cannot be written ({error.strerror})") from error
    except OSError as error:
        raise ExportRefused(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            written.unlink()
