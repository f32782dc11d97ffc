"""Writes everything that follows from the contract: the services of the edge, Python stubs, descriptors, the rules of
access and the OpenAPI document.

The public contract is `protos/tradingsignals/v1`, which compiles as it lies there, with `protos/google`, which is
vendored. `protos/internal` is what servers ask of each other, and what the edge asks of them (generated, see edge.py);
its stubs are the server's own.

python protos/generate.py                 write them into the tree (`make generate`)
python -m protos.generate --check         fail if they are not what the contract gives (`make check-generated`)
python -m protos.generate --image FILE    write the compiled contract with its comments, for `buf lint`
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

import grpc_tools
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protos.access import check_access, read_access
from protos.edge import FOLDER as EDGE_FOLDER
from protos.edge import edge_protos
from protos.openapi import openapi_document

ROOT = Path(__file__).resolve().parents[1]
PROTOS = ROOT / "protos"
INTERNAL = PROTOS / "internal"
STUBS = Path("clients/python")  # below it, packages follow the proto packages: tradingsignals/v1
INTERNAL_STUBS = Path("server/tradingsignals_server/internal")  # all in this one folder
EDGE_DESCRIPTORS = Path("envoy/descriptors.binpb")  # internal services included
PUBLIC_DESCRIPTORS = Path("protos/descriptors.binpb")
EDGE_PROTOS = Path("protos/internal") / EDGE_FOLDER
OPENAPI = Path("envoy/openapi.json")
ACCESS = INTERNAL_STUBS / "access.json"
EXAMPLES = PROTOS / "examples.json"
_SINGLE_FILES = (EDGE_DESCRIPTORS, PUBLIC_DESCRIPTORS, OPENAPI, ACCESS)

_CALLERS_PACKAGE = "tradingsignals.v1"  # others are for servers among themselves and for the edge

_INCLUDES = (
    PROTOS,  # google/api and google/rpc among them
    Path(grpc_tools.__file__).parent / "_proto",  # google/protobuf
)
# No proto imports these. The edge needs them to write error details as JSON: a detail whose type it does not know makes
# it respond with 200 and an empty body.
_ERROR_TYPES = ("google/rpc/error_details.proto", "google/rpc/status.proto")


def _protoc(arguments: Iterable[str], files: Iterable[str], includes: Iterable[Path] = ()) -> None:
    folders = [f"--proto_path={folder}" for folder in (*includes, *_INCLUDES)]
    if protoc.main(["protoc", *folders, *arguments, *files]) != 0:
        sys.exit(1)  # protoc has said why


def _files_in(folder: Path) -> list[str]:
    """The protos of ours in an include folder, by their import path."""
    return sorted(path.relative_to(folder).as_posix() for path in (folder / "tradingsignals").rglob("*.proto"))


def write_image(file: Path) -> descriptor_pb2.FileDescriptorSet:
    """Compile the contract into one file, internal services, imports and comments included."""
    return _write_image(file, [*_files_in(PROTOS), *_files_in(INTERNAL)], [INTERNAL])


def _write_image(file: Path, protos: Iterable[str], includes: Iterable[Path] = ()) -> descriptor_pb2.FileDescriptorSet:
    file.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--include_imports", "--include_source_info", f"--descriptor_set_out={file}"]
    _protoc(arguments, [*protos, *_ERROR_TYPES], includes)
    return descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes())


def generate(root: Path) -> None:
    """Write every generated file below `root`."""
    stubs, internal_stubs = root / STUBS, root / INTERNAL_STUBS
    for folder in (stubs, internal_stubs, root / EDGE_PROTOS, *((root / file).parent for file in _SINGLE_FILES)):
        folder.mkdir(parents=True, exist_ok=True)

    public = _files_in(PROTOS)
    services = [file for file in public if file.endswith("_service.proto")]
    mypy_grpc = Path(sysconfig.get_path("scripts")) / "protoc-gen-mypy_grpc"
    _protoc([f"--python_out={stubs}", f"--pyi_out={stubs}"], public)
    _protoc(
        [f"--plugin=protoc-gen-mypy_grpc={mypy_grpc}", f"--grpc_python_out={stubs}", f"--mypy_grpc_out=quiet:{stubs}"],
        services,
    )

    with tempfile.TemporaryDirectory() as scratch:
        public_image = _write_image(Path(scratch) / "public.binpb", public)
        callers = [file for file in public_image.file if file.package == _CALLERS_PACKAGE]
        for name, text in edge_protos(callers).items():
            (root / EDGE_PROTOS / Path(name).name).write_text(text, encoding="utf-8")
        internal = sorted({*_files_in(INTERNAL), *(f"{EDGE_FOLDER}/{path.name}" for path in edge_files(root))})
        includes = [root / "protos" / "internal", INTERNAL]
        # Messages alone: the server binds and calls methods by their descriptors. No internal proto imports another, so
        # that a flat folder in a package of another name serves them.
        _protoc([f"--python_out={scratch}", f"--pyi_out={scratch}"], internal, includes)
        for stub in Path(scratch).rglob("*_pb2.py*"):
            shutil.copyfile(stub, internal_stubs / stub.name)
        image = _write_image(Path(scratch) / "contract.binpb", [*public, *internal], includes)
    access = read_access()
    check_access(access, image.file)
    (root / ACCESS).write_text(json.dumps({"methods": access}, indent=2) + "\n", encoding="utf-8")
    document = openapi_document(callers, json.loads(EXAMPLES.read_text(encoding="utf-8")), access)
    (root / OPENAPI).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path, written in ((EDGE_DESCRIPTORS, image), (PUBLIC_DESCRIPTORS, public_image)):
        for file in written.file:
            file.ClearField("source_code_info")  # a changed comment changes nothing for those who read it
            if path == EDGE_DESCRIPTORS:
                _bind_head(file)
        (root / path).write_bytes(written.SerializeToString(deterministic=True))


def _bind_head(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Let Envoy take HEAD where it takes GET, but for streams, which have no end that it could wait for."""
    for method in (method for service in file.service for method in service.method if not method.server_streaming):
        rule = method.options.Extensions[annotations_pb2.http]
        for path in [binding.get for binding in (rule, *rule.additional_bindings) if binding.get]:
            rule.additional_bindings.add(custom=http_pb2.CustomHttpPattern(kind="HEAD", path=path))


def edge_files(root: Path) -> set[Path]:
    """The protos of the edge that are there below `root`."""
    return set((root / EDGE_PROTOS).glob("*.proto"))


def generated_files(root: Path) -> set[Path]:
    """Every generated file that is there below `root`, relative to it."""
    stubs = [path for folder in (STUBS, INTERNAL_STUBS) for path in (root / folder).rglob("*_pb2*.py*")]
    found = {path.relative_to(root) for path in [*stubs, *edge_files(root)] if path.suffix != ".pyc"}
    return found | {path for path in _SINGLE_FILES if (root / path).exists()}


def differences() -> list[Path]:
    """The generated files of the tree that are missing, stale or too many."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        wanted, present = generated_files(fresh), generated_files(ROOT)
        changed = {path for path in wanted & present if (fresh / path).read_bytes() != (ROOT / path).read_bytes()}
    return sorted((wanted ^ present) | changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="fail if the tree's files are not what the contract gives")
    mode.add_argument("--image", type=Path, metavar="FILE", help="only write the compiled contract, comments included")
    options = parser.parse_args()

    if options.image:
        write_image(options.image)
    elif options.check:
        if stale := differences():
            sys.exit(f"not what the contract gives (make generate): {', '.join(map(str, stale))}")
    else:
        for path in generated_files(ROOT):
            (ROOT / path).unlink()  # also those of protos that are gone
        generate(ROOT)


if __name__ == "__main__":
    main()
