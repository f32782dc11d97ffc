"""Changes of a model file on its bytes: weights of other files folded in, a map of probabilities taken off, metadata.

Nothing of the graph is computed, and what is not changed keeps its bytes. The field numbers are those of onnx.proto.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from .entries import PREFIX
from .envelope import CHILDREN
from .errors import Unfit
from .labels import class_labels
from .wire import encoded_fields, fields, length_delimited, messages_of, text_of, whole

MAX_EXTERNAL_BYTES = 256 << 20
"""Limit of the weights in other files, all together."""

_GRAPH, _PROPERTIES = 7, 14
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14

Change = Callable[[memoryview], bytes | None]


def folded(content: bytes, folder: Path) -> bytes:
    """Return a model with the weights that it keeps in other files of `folder`.

    Raises:
        Unfit: a file is missing, not in that folder, or too short, or there are too many bytes.
    """
    weights = _ExternalWeights(folder.resolve())
    return bytes(_changed(memoryview(content), "model", weights.fold))


def without_map(content: bytes) -> bytes:
    """Return a model whose outputs are the probabilities that a ZipMap makes maps of; others are as they are."""

    def change(graph: memoryview) -> bytes | None:
        nodes = [node for node in messages_of(graph, _NODE) if text_of(node, 4) == "ZipMap"]
        names = {text_of(output, 1) for output in messages_of(graph, _OUTPUT)}
        maps = {text_of(node, 2): node for node in nodes if text_of(node, 2) in names}
        if not maps:
            return None
        kept = bytearray()
        for number, value, start, end in encoded_fields(graph):
            if isinstance(value, memoryview) and number == _NODE and text_of(value, 2) in maps:
                continue
            if isinstance(value, memoryview) and number == _OUTPUT and (node := maps.get(text_of(value, 1))):
                kept += length_delimited(_OUTPUT, _probabilities(node))
                continue
            kept += graph[start:end]
        return bytes(kept)

    view = memoryview(content)
    kept = bytearray()
    for number, value, start, end in encoded_fields(view):
        changed = change(value) if number == _GRAPH and isinstance(value, memoryview) else None
        kept += view[start:end] if changed is None else length_delimited(_GRAPH, changed)
    return bytes(kept)


def properties_of(content: bytes) -> dict[str, str]:
    """Return the metadata_props of a model."""
    return {text_of(entry, 1): text_of(entry, 2) for entry in messages_of(memoryview(content), _PROPERTIES)}


def with_properties(content: bytes, properties: Mapping[str, str]) -> bytes:
    """Return a model with `properties` in place of all whose keys begin with PREFIX."""
    view = memoryview(content)
    kept = bytearray()
    for number, value, start, end in encoded_fields(view):
        ours = number == _PROPERTIES and isinstance(value, memoryview) and text_of(value, 1).startswith(PREFIX)
        if not ours:
            kept += view[start:end]
    for key, text in properties.items():
        entry = length_delimited(1, key.encode()) + length_delimited(2, text.encode())
        kept += length_delimited(_PROPERTIES, entry)
    return bytes(kept)


def _changed(message: memoryview, kind: str, change: Change) -> memoryview | bytes:
    """Return a message with every tensor in it changed; the message itself if none is."""
    if kind == "tensor":
        changed = change(message)
        return message if changed is None else changed
    children = CHILDREN[kind]
    kept, different = bytearray(), False
    for number, value, start, end in encoded_fields(message):
        if number in children and isinstance(value, memoryview):
            child = _changed(value, children[number], change)
            if child is not value:
                different = True
                kept += length_delimited(number, bytes(child))
                continue
        kept += message[start:end]
    return bytes(kept) if different else message


def _probabilities(node: memoryview) -> bytes:
    """Return the ValueInfo of the input of a ZipMap: float of shape (open, labels)."""
    labels = sum(len(list(class_labels(attribute))) for attribute in messages_of(node, 5))
    batch = length_delimited(1, length_delimited(2, b"batch"))
    shape = batch + (length_delimited(1, whole(1, labels)) if labels else length_delimited(1, b""))
    tensor = whole(1, 1) + length_delimited(2, shape)
    return length_delimited(1, text_of(node, 1).encode()) + length_delimited(2, length_delimited(1, tensor))


class _ExternalWeights:
    """Reads tensors from files of one folder, each file once, up to MAX_EXTERNAL_BYTES in all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = dict[str, bytes]()
        self._read = 0

    def fold(self, tensor: memoryview) -> bytes | None:
        """Return a tensor with its weights, None if it has them already."""
        entries = messages_of(tensor, _EXTERNAL_DATA)
        if not entries and (_DATA_LOCATION, 1) not in fields(tensor):
            return None
        where = {text_of(entry, 1): text_of(entry, 2) for entry in entries}
        name = where.get("location", "")
        content = self._content(name)
        first, length = _whole_number(where, "offset", 0), _whole_number(where, "length", -1)
        end = len(content) if length < 0 else first + length
        if end > len(content) or first > end:
            raise Unfit(f"needs {end} bytes of its weights in {name!r}, which has {len(content)}; copy it again")
        self._count(end - first)
        kept = bytearray()
        for number, _, start, stop in encoded_fields(tensor):
            if number not in {_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION}:
                kept += tensor[start:stop]
        return bytes(kept) + length_delimited(_RAW_DATA, content[first:end])

    def _content(self, name: str) -> bytes:
        if name in self._files:
            return self._files[name]
        if not name or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise Unfit(f"keeps weights in {name!r}; they are read only from the folder of the model: copy them there")
        try:
            path = (self._folder / name).resolve(strict=True)
            if not path.is_relative_to(self._folder) or not path.is_file():
                raise Unfit(f"keeps weights in {name!r}, which is not a file of the folder of the model; copy it there")
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._count(0, size)
                self._files[name] = file.read(size)
        except OSError as error:
            raise Unfit(f"keeps weights in {name!r}, which cannot be read ({error.strerror}); copy it there") from error
        return self._files[name]

    def _count(self, count: int, pending: int = 0) -> None:
        self._read += count
        if max(self._read, pending) > MAX_EXTERNAL_BYTES:
            raise Unfit(f"keeps more than {MAX_EXTERNAL_BYTES >> 20} MiB in other files; export a smaller network")


def _whole_number(where: Mapping[str, str], key: str, default: int) -> int:
    text = where.get(key)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise Unfit(f"has {key} {text!r} in its external data; copy or export it again")
    return int(text)
