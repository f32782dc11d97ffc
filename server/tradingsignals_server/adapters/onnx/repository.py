"""Where model files are: a file, or a folder of versions, `<version>/model.onnx`, or of names with their versions."""

from __future__ import annotations

import re
from pathlib import Path

from ...domain.errors import ModelNotLoaded
from .errors import ModelRefused
from .policy import OnnxPolicy

MODEL_FILE = "model.onnx"
SHIPPED_NAME = "ppo-lstm-usdcop"


def newest_model(path: Path) -> Path:
    """The file that `path` means: itself, or the newest version in the folder.

    Raises:
        ModelNotLoaded: there is none, or the folder holds several models.
    """
    if not path.is_dir():
        return path
    if (path / MODEL_FILE).exists():
        return path / MODEL_FILE
    return _versions_in(path)[-1]


def versions(path: Path) -> list[str]:
    """Names of the versions in the folder `path`, the oldest first; none if it names a single file."""
    if not path.is_dir() or (path / MODEL_FILE).exists():
        return []
    try:
        return [file.parent.name for file in _versions_in(path)]
    except ModelNotLoaded:
        return []


def load_newest(path: Path, setting: str) -> OnnxPolicy:
    """The policy in the file that `path` means, checked. `setting` is the name under which the operator gave it.

    A file that does not come with the program is loaded first in a process of its own: it may hang or crash there.

    Raises:
        ModelNotLoaded: it will not serve; the message is one line that says why and what to do.
    """
    shipped = shipped_models()
    try:
        file = newest_model(path)
        return OnnxPolicy(file, confined=shipped is None or not file.is_relative_to(shipped))
    except (ModelRefused, ModelNotLoaded) as error:
        raise ModelNotLoaded(f"{setting}: {error}") from error


def fingerprint(path: Path) -> tuple[str, int, int] | None:
    """Name, date and size of the file that `path` means; None while there is none."""
    try:
        file = newest_model(path)
        found = file.stat()
    except (ModelNotLoaded, OSError):
        return None
    return str(file), found.st_mtime_ns, found.st_size


def shipped_models() -> Path | None:
    """The folder of the versions that come with the program: in the installed package, or in the checkout."""
    package = Path(__file__).parents[2]
    for models in (package / "models", package.parents[1] / "models"):
        folder = models / SHIPPED_NAME
        if any(folder.glob(f"*/{MODEL_FILE}")):
            return folder
    return None


def _versions_in(path: Path) -> list[Path]:
    """The files of a folder of versions, or of a single name with its versions, the oldest first; at least one.

    Raises:
        ModelNotLoaded: there is none, or the folder holds several models.
    """
    # A hidden folder is one that is still written.
    found = ([file for file in path.glob(f"{depth}/{MODEL_FILE}") if not _hidden(path, file)] for depth in ("*", "*/*"))
    files = sorted(next(found) or next(found), key=_version)
    names = sorted({file.parent.parent.name for file in files})
    if len(names) > 1:
        raise ModelNotLoaded(f"{path}: holds several models ({', '.join(names)}); name the folder of one")
    if not files:
        raise ModelNotLoaded(f"{path}: holds no <version>/{MODEL_FILE}")
    return files


def _hidden(root: Path, file: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _version(file: Path) -> list[tuple[int, int, str]]:
    """The key by which versions are ordered: numbers as numbers, 1.9 before 1.10, and 1.0-rc1 before 1.0."""
    parts = re.findall(r"\d+|[^\d.]+", file.parent.name)
    return [*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, "")]
