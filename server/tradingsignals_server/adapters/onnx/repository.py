"""Lookup of model files. A path names a file, a folder of versions (`<version>/model.onnx`), or a folder of one model
with its versions (`<name>/<version>/model.onnx`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path

from ...domain.errors import ModelNotLoaded
from ..python_features import PythonFeatures
from .errors import ModelRefused
from .policy import OnnxPolicy

MODEL_FILE = "model.onnx"
SHIPPED_NAME = "ppo-lstm-usdcop"
KEY_DIGITS = 16
"""Digits of the hash of its file in a policy's key."""


def newest_model(path: Path) -> Path:
    """Return `path` if it is a file, or the file of the newest version in the folder.

    Raises:
        ModelNotLoaded: the folder contains no version, or more than one model.
    """
    if not path.is_dir():
        return path
    if (path / MODEL_FILE).exists():
        return path / MODEL_FILE
    return _versions_in(path)[-1]


def versions(path: Path) -> list[str]:
    """Return the versions in the folder `path`, the oldest first; empty if `path` names a single file."""
    if not path.is_dir() or (path / MODEL_FILE).exists():
        return []
    try:
        return [file.parent.name for file in _versions_in(path)]
    except ModelNotLoaded:
        return []


def model_of_version(path: Path, version: str) -> Path:
    """Return the file of a version in the folder `path`, one of `versions`.

    Raises:
        LookupError: there is no such version.
    """
    for file in _versions_in(path):
        if file.parent.name == version:
            return file
    raise LookupError(f"there is no version {version} in {path}")


def load_newest(path: Path, setting: str, own: PythonFeatures | None = None) -> OnnxPolicy:
    """Load the newest model at `path`. Error messages name `setting`, which is where the operator configured the path.

    A file that is not shipped with the program is loaded first in a separate process, because it may hang or crash.
    `own` are the features of the setting FEATURES, for a model that was trained on them.

    Raises:
        ModelNotLoaded: the file cannot be used; the message is one line with the problem and what to do.
    """
    shipped = shipped_models()
    try:
        file = newest_model(path)
        return OnnxPolicy(file, confined=shipped is None or not file.is_relative_to(shipped), own=own)
    except (ModelRefused, ModelNotLoaded) as error:
        raise ModelNotLoaded(f"{setting}: {error}") from error


def load_with_key(paths: Sequence[Path], key: str, own: PythonFeatures | None = None) -> OnnxPolicy | None:
    """Load the policy with `key` (PolicyDescription.key) from a file at one of `paths`; None if there is none.

    Its file was in use before, so it is not loaded in a separate process first. `own`: see load_newest.
    """
    for file in _files_at(paths):
        with suppress(OSError, ModelRefused):
            if key.endswith(f"@{_sha256(file, file.stat().st_mtime_ns)[:KEY_DIGITS]}"):
                policy = OnnxPolicy(file, own=own)
                if policy.description.key == key:
                    return policy
    return None


def _files_at(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir() or (path / MODEL_FILE).exists():
            yield newest_model(path)
            continue
        with suppress(ModelNotLoaded):
            yield from reversed(_versions_in(path))


@lru_cache(256)
def _sha256(file: Path, _modified_ns: int) -> str:
    """Return the hash of a file, in hexadecimal; it is computed again when the file is modified."""
    with file.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()


def fingerprint(path: Path) -> tuple[str, int, int] | None:
    """Return path, modification time (ns) and size of the newest model file at `path`; None if there is none."""
    try:
        file = newest_model(path)
        found = file.stat()
    except (ModelNotLoaded, OSError):
        return None
    return str(file), found.st_mtime_ns, found.st_size


def shipped_models() -> Path | None:
    """Return the folder of the shipped versions, in the installed package or in the checkout; None if there is none."""
    package = Path(__file__).parents[2]
    for models in (package / "models", package.parents[1] / "models"):
        folder = models / SHIPPED_NAME
        if any(folder.glob(f"*/{MODEL_FILE}")):
            return folder
    return None


def _versions_in(path: Path) -> list[Path]:
    """Return the model files in a folder of versions, or in a folder of one model, the oldest version first.

    Raises:
        ModelNotLoaded: there is none, or the folder contains more than one model.
    """
    # A hidden folder is a version that is still being written.
    found = ([file for file in path.glob(f"{depth}/{MODEL_FILE}") if not _hidden(path, file)] for depth in ("*", "*/*"))
    files = sorted(next(found) or next(found), key=_version)
    names = sorted({file.parent.parent.name for file in files})
    if len(names) > 1:
        raise ModelNotLoaded(f"{path}: contains {len(names)} models ({', '.join(names)}); name the folder of one")
    if not files:
        raise ModelNotLoaded(f"{path}: contains no <version>/{MODEL_FILE}")
    return files


def _hidden(root: Path, file: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _version(file: Path) -> list[tuple[int, int, str]]:
    """Return the sort key of a version: numbers compare as numbers, so 1.9 < 1.10, and 1.0-rc1 < 1.0."""
    parts = re.findall(r"\d+|[^\d.]+", file.parent.name)
    return [*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, "")]
