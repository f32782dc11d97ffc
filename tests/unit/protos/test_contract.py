"""The published contract: it compiles from its folder alone, and contains nothing internal."""

from __future__ import annotations

from pathlib import Path

import google.api
import google.rpc
import grpc_tools
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc
from protos.generate import INTERNAL, INTERNAL_STUBS, PROTOS, PUBLIC_DESCRIPTORS, ROOT, STUBS

PUBLIC = sorted((PROTOS / "tradingsignals").rglob("*.proto"))
VENDORED = sorted((PROTOS / "google").rglob("*.proto"))
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
"""google/protobuf, which every protoc brings."""


def test_contract_compiles_from_its_folder_alone(tmp_path: Path) -> None:
    image = tmp_path / "image.binpb"
    arguments = [f"-I{PROTOS}", f"-I{WELL_KNOWN}", "--include_imports", f"--descriptor_set_out={image}"]
    assert protoc.main(["protoc", *arguments, *map(str, [*PUBLIC, *VENDORED])]) == 0
    compiled = {file.name for file in FileDescriptorSet.FromString(image.read_bytes()).file}
    assert compiled >= {path.relative_to(PROTOS).as_posix() for path in [*PUBLIC, *VENDORED]}


@pytest.mark.parametrize("file", VENDORED, ids=lambda file: file.name)
def test_vendored_files_equal_the_installed_ones(file: Path) -> None:
    package = google.api if file.parent.name == "api" else google.rpc
    installed = Path(next(iter(package.__path__))) / file.name
    assert file.read_bytes() == installed.read_bytes()


def public_set() -> FileDescriptorSet:
    return FileDescriptorSet.FromString((ROOT / PUBLIC_DESCRIPTORS).read_bytes())


def test_descriptor_set_is_self_contained_and_has_every_public_file() -> None:
    pool = DescriptorPool()
    for file in public_set().file:
        pool.Add(file)  # which fails if an import is missing
    for path in PUBLIC:
        pool.FindFileByName(path.relative_to(PROTOS).as_posix())


def test_descriptor_set_has_nothing_internal() -> None:
    ours = [file for file in public_set().file if not file.name.startswith("google/")]
    assert {file.package for file in ours} == {"tradingsignals.v1"}


def test_files_declare_packages_for_other_languages() -> None:
    for file in public_set().file:
        if file.package == "tradingsignals.v1":
            options = file.options
            assert (
                options.go_package,
                options.csharp_namespace,
                options.java_package,
                options.java_multiple_files,
            ) == (
                "tradingsignals/v1;tradingsignalsv1",
                "TradingSignals.V1",
                "tradingsignals.v1",
                True,
            ), file.name


def test_published_client_has_stubs_of_the_public_contract_only() -> None:
    stubs = {path.relative_to(ROOT / STUBS).parent.as_posix() for path in (ROOT / STUBS).rglob("*_pb2*.py")}
    assert stubs == {"tradingsignals/v1"}
    internal = {path.stem for path in INTERNAL.rglob("*.proto")}
    assert {path.name.removesuffix("_pb2.py") for path in (ROOT / INTERNAL_STUBS).glob("*_pb2.py")} == internal


def test_no_licence_is_granted_and_the_notice_names_vendored_files() -> None:
    line = "Copyright 2025 USDCOP Trading System. All rights reserved.\n"
    assert (ROOT / "LICENSE").read_text() == (ROOT / STUBS / "LICENSE").read_text() == line
    notice = (ROOT / "NOTICE").read_text()
    assert all(file.name in notice for file in VENDORED)
    assert (PROTOS / "google/LICENSE").read_text().split()[:4] == ["Apache", "License", "Version", "2.0,"]
