"""The table of access against the contract: what has no rule fails."""

from __future__ import annotations

import re

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from protos.access import AccessTableError, check_access, read_access
from protos.generate import ROOT


@pytest.fixture(scope="module")
def files() -> list[FileDescriptorProto]:
    """The files of the contract, internal ones included."""
    return list(FileDescriptorSet.FromString((ROOT / "envoy/descriptors.binpb").read_bytes()).file)


def test_every_method_has_a_rule(files: list[FileDescriptorProto]) -> None:
    check_access(read_access(), files)


@pytest.mark.parametrize(
    "path",
    [
        "/tradingsignals.v1.PositionService/ClosePosition",
        "/tradingsignals.v1.MarketDataService/PublishBars",
        "/tradingsignals.peer.v1.PeerService/ProcessBars",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_method_without_a_rule_fails(files: list[FileDescriptorProto], path: str) -> None:
    access = read_access()
    del access[path]
    with pytest.raises(AccessTableError, match=f"^{re.escape(path)} has no rule"):
        check_access(access, files)


def test_rule_of_a_method_that_does_not_exist_fails(files: list[FileDescriptorProto]) -> None:
    with pytest.raises(AccessTableError, match=r"^/a\.B/C of protos/access\.yaml does not exist$"):
        check_access([*read_access(), "/a.B/C"], files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{methods: {a.B: {C: everyone}}, files: public}", "/a.B/C: everyone is not one of public"),
        ("{methods: {}, files: viewer}", "what it serves itself is public"),
    ],
)
def test_rule_that_nothing_can_enforce_fails(text: str, message: str) -> None:
    with pytest.raises(AccessTableError, match=message):
        read_access(text)
