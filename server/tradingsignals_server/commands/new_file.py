"""Writing a file that is whole or not there, and never over one that is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..adapters.onnx.errors import ExportRefused


def require_new(out: Path) -> None:
    """Check that there is nothing at `out` yet.

    Raises:
        ExportRefused: there is.
    """
    if os.path.lexists(out):
        raise ExportRefused(f"{out}: is there already and is not written over; name a new version's file with --out")


@contextmanager
def new_file(out: Path, content: bytes) -> Iterator[Path]:
    """`content` in a file beside `out`, to look at; it becomes `out` at the end of the block if nothing is raised.

    The folder is made if need be.

    Raises:
        ExportRefused: there is a file at `out`, or it cannot be written.
    """
    require_new(out)
    # Not yet under its name: a service that watches the folder takes what it finds there.
    written = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(content)
        yield written
        # Unlike a rename this fails where a file has come to be meanwhile.
        os.link(written, out)
    except FileExistsError as error:
        require_new(out)
        raise ExportRefused(f"{out}: cannot be written ({error.strerror})") from error
    except OSError as error:
        raise ExportRefused(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            written.unlink()
