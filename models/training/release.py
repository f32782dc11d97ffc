"""Write a trained policy as a new version beside the existing ones, atomically, and never over one."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx

from tradingsignals_server.adapters.onnx.entries import PREFIX
from tradingsignals_server.adapters.onnx.metadata import distributions_text
from tradingsignals_server.domain.calibration import WinCalibration
from tradingsignals_server.domain.drift import Distribution

FIRST_VERSION = "1.0.0"
_NUMBERED = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Refused(Exception):
    """A version cannot be written. The message is one line that says why, and what to do."""


def name_for(symbol: str) -> str:
    """The name of a policy of this symbol."""
    return f"ppo-lstm-{re.sub('[^a-z0-9]', '', symbol.lower())}"


def folder_for(model: Path, version: str | None) -> Path:
    """The folder of `version` of the model in the folder `model`; without a version, of the next minor one.

    Raises:
        Refused: it exists already, or `version` is not the name of a folder.
    """
    if version is None:
        there = [_NUMBERED.fullmatch(path.name) for path in model.glob("*")]
        newest = max((tuple(map(int, found.groups())) for found in there if found), default=None)
        version = FIRST_VERSION if newest is None else f"{newest[0]}.{newest[1] + 1}.0"
    if not version or Path(version).name != version or version.startswith("."):
        raise Refused(f"--version {version}: the name of a folder is needed, such as {FIRST_VERSION}")
    _require_new(model / version)
    return model / version


@contextmanager
def new_version(folder: Path) -> Iterator[Path]:
    """An empty folder to write to, which becomes `folder` at the end of the block if nothing is raised there.

    Raises:
        Refused: `folder` was created meanwhile.
    """
    # A service that watches the versions ignores hidden folders, and so never loads an incomplete one.
    written = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    written.mkdir(parents=True)
    try:
        yield written
        _require_new(folder)
        # This fails if the folder exists and is not empty.
        written.rename(folder)
    except OSError as error:
        _require_new(folder)
        raise Refused(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(written, ignore_errors=True)


def set_measured(file: Path, calibration: WinCalibration, distributions: Sequence[Distribution]) -> None:
    """Write the calibration of the win probability, and the distribution of each feature in training, into the metadata
    of a model file, in place of what is there."""
    model = onnx.load(file)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    properties[f"{PREFIX}calibration"] = json.dumps(calibration.entry())
    if distributions:
        properties[f"{PREFIX}distributions"] = distributions_text(distributions)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, file)


def _require_new(folder: Path) -> None:
    if os.path.lexists(folder):
        raise Refused(f"{folder}: is there already and is not written over; name another version with --version")
