"""Comments of a compiled contract, by the full names of what they describe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto


def comments_of(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Yield each comment with the full name of its element; the lines of a paragraph are joined."""
    for location in file.source_code_info.location:
        node: Any = file
        name = [file.package]
        # A path alternates the number of a repeated field of descriptor.proto and an index into it.
        steps = list(zip(location.path[::2], location.path[1::2], strict=False))
        if not location.leading_comments or len(location.path) != 2 * len(steps):
            continue
        for number, index in steps:
            node = getattr(node, node.DESCRIPTOR.fields_by_number[number].name)[index]
            name.append(node.name)
        paragraphs = location.leading_comments.strip().split("\n\n")
        yield ".".join(name), "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
