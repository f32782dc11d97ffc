"""Reads `access.yaml`, the rule of every method, and checks it against the contract."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

FILE = Path(__file__).with_name("access.yaml")
RULES = ("public", "viewer", "publisher", "trader", "admin", "peer")
EDGE_PACKAGE = "tradingsignals.edge.v1"
"""The public calls once more, as text, by the rules of the public ones."""


class AccessTableError(Exception):
    """The table does not fit the contract. The message is one line for each method."""


def read_access(text: str | None = None) -> dict[str, str]:
    """Return the rule of each method by its path, "/package.Service/Method".

    Raises:
        AccessTableError: a rule is none of RULES, or the edge's files are not public.
    """
    table = yaml.safe_load(FILE.read_text("utf-8") if text is None else text)
    found = {
        f"/{service}/{method}": str(rule)
        for service, rules in table["methods"].items()
        for method, rule in rules.items()
    }
    wrong = [f"{path}: {rule} is not one of {', '.join(RULES)}" for path, rule in found.items() if rule not in RULES]
    if table["files"] != "public":
        wrong.append("files: the edge knows no credentials, so what it serves itself is public")
    if wrong:
        raise AccessTableError("; ".join(wrong))
    return found


def check_access(access: Iterable[str], files: Iterable[FileDescriptorProto]) -> None:
    """Check that the table has every method of the contract and of gRPC's own services, and no other.

    Raises:
        AccessTableError: it lacks a method, or has one that there is not.
    """
    served = {
        f"/{file.package}.{service.name}/{method.name}"
        for file in files
        if file.package != EDGE_PACKAGE
        for service in file.service
        for method in service.method
    }
    for service in (
        health_pb2.DESCRIPTOR.services_by_name["Health"],
        reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
    ):
        served |= _paths(service)
    named = set(access)
    problems = [f"{path} has no rule in protos/access.yaml" for path in sorted(served - named)]
    problems += [f"{path} of protos/access.yaml does not exist" for path in sorted(named - served)]
    if problems:
        raise AccessTableError("; ".join(problems))


def _paths(service: ServiceDescriptor) -> set[str]:
    return {f"/{service.full_name}/{method.name}" for method in service.methods}
