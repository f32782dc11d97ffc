"""The zip that `model.save()` wrote: its members, each read with a limit."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..onnx.errors import ExportRefused
from .unpickling import Forbidden, unpickle

MAX_MEMBERS, MAX_TENSORS = 64, 10_000
"""Limits: members of the zip, and members of the inner zip of the weights."""
MAX_DATA_BYTES = 16 << 20
MAX_WEIGHTS_BYTES = 256 << 20

_SAVE_AGAIN = "save it again with this stable-baselines3"


@dataclass(frozen=True, slots=True)
class SavedPolicy:
    """The parts of a zip that define a policy.

    data: the member `data`, which holds pickles that are not loaded yet.
    parameters: the weights by name.
    trusted: classes of the user, as `module:Class`, which the pickles may contain.
    """

    path: Path
    data: dict[str, Any]
    parameters: dict[str, torch.Tensor]
    trusted: tuple[str, ...] = ()

    def unpickled(self, key: str, refusal: Callable[[str], str]) -> Any:
        """Return the object under `key` of the data.

        `refusal` returns what the message says of a class that is not allowed, by its name.

        Raises:
            ExportRefused: there is none, or it contains a class that is not allowed.
        """
        entry = self.data.get(key)
        if isinstance(entry, dict) and ":serialized:" in entry:
            try:
                return unpickle(base64.b64decode(entry[":serialized:"]), self.trusted)
            except Forbidden as error:
                raise ExportRefused(f"{self.path}: {refusal(str(error))}") from error
            except Exception as error:
                # The unpickler can raise nearly any exception for a damaged pickle.
                raise ExportRefused(f"{self.path}: its {key} cannot be read; {_SAVE_AGAIN}") from error
        if key == "policy_kwargs" and isinstance(entry, dict):
            return entry  # arguments without a class are plain JSON
        raise ExportRefused(f"{self.path}: has no {key}, so it is not a zip of stable-baselines3; {_SAVE_AGAIN}")


def read_zip(path: Path, trusted: tuple[str, ...] = ()) -> SavedPolicy:
    """Read the members `data` and `policy.pth` of a zip, both limited in size.

    Raises:
        ExportRefused: the file is not such a zip, or has more than the limits.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _require_small(path, archive, MAX_MEMBERS, MAX_WEIGHTS_BYTES)
            data = json.loads(_member(path, archive, "data", MAX_DATA_BYTES))
            weights = io.BytesIO(_member(path, archive, "policy.pth", MAX_WEIGHTS_BYTES))
        with zipfile.ZipFile(weights) as tensors:
            _require_small(path, tensors, MAX_TENSORS, MAX_WEIGHTS_BYTES)
        weights.seek(0)
        parameters = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ExportRefused(f"{path}: cannot be read ({error.strerror})") from error
    except ExportRefused:
        raise
    except Exception as error:
        # A damaged or malicious zip can raise nearly any exception.
        raise ExportRefused(f"{path}: is not a zip that model.save() of stable-baselines3 wrote") from error
    if not isinstance(parameters, dict) or not all(isinstance(value, torch.Tensor) for value in parameters.values()):
        raise ExportRefused(f"{path}: its policy.pth contains no weights by name; save it again")
    return SavedPolicy(path, data if isinstance(data, dict) else {}, parameters, trusted)


def _require_small(path: Path, archive: zipfile.ZipFile, members: int, size: int) -> None:
    if len(archive.infolist()) > members:
        raise ExportRefused(f"{path}: has more than {members} members; {_SAVE_AGAIN}")
    if sum(member.file_size for member in archive.infolist()) > size:
        raise ExportRefused(f"{path}: unpacks to more than {size >> 20} MiB; train a smaller network")


def _member(path: Path, archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    # The declared size of a member may be wrong, so the limit applies to the unpacked bytes.
    with archive.open(name) as member:
        content = member.read(size + 1)
    if len(content) > size:
        raise ExportRefused(f"{path}: its member {name} has more than {size >> 20} MiB; train a smaller network")
    return content
