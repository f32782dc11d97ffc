"""Writes everything that follows from the contract: Python stubs, Envoy's descriptors and the OpenAPI document.

python protos/generate.py                 write them into the tree (`make generate`)
python -m protos.generate --check         fail if they are not what the contract gives (`make check-generated`)
python -m protos.generate --image FILE    write the compiled contract with its comments, for `buf lint`
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

import grpc_tools
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protos.openapi import openapi_document

ROOT = Path(__file__).resolve().parents[1]
PROTOS = ROOT / "protos"
STUBS = Path("clients/python")  # below it, packages follow the proto packages: tradingsignals/v1
DESCRIPTORS = Path("envoy/descriptors.binpb")
OPENAPI = Path("envoy/openapi.json")

_CALLERS_PACKAGE = "tradingsignals.v1"  # others are for servers among themselves and for the edge

_INCLUDES = (
    PROTOS,
    Path(annotations_pb2.__file__).parents[2],  # googleapis-common-protos: google/api, google/rpc
    Path(grpc_tools.__file__).parent / "_proto",  # google/protobuf
)
# No proto imports these. The edge needs them to write error details as JSON: a detail whose type it does not know makes
# it answer 200 with an empty body.
_ERROR_TYPES = ("google/rpc/error_details.proto", "google/rpc/status.proto")


def _protoc(arguments: Iterable[str], files: Iterable[str]) -> None:
    includes = [f"--proto_path={folder}" for folder in _INCLUDES]
    if protoc.main(["protoc", *includes, *arguments, *files]) != 0:
        sys.exit(1)  # protoc has said why


def _contract() -> list[str]:
    return sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))


def write_image(file: Path) -> descriptor_pb2.FileDescriptorSet:
    """Compile the contract into one file, imports and comments included."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _protoc(
        ["--include_imports", "--include_source_info", f"--descriptor_set_out={file}"], [*_contract(), *_ERROR_TYPES]
    )
    return descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes())


def generate(root: Path) -> None:
    """Write every generated file below `root`."""
    stubs = root / STUBS
    for folder in (stubs, (root / DESCRIPTORS).parent, (root / OPENAPI).parent):
        folder.mkdir(parents=True, exist_ok=True)

    contract = _contract()
    services = [file for file in contract if file.endswith("_service.proto")]
    mypy_grpc = Path(sysconfig.get_path("scripts")) / "protoc-gen-mypy_grpc"
    _protoc([f"--python_out={stubs}", f"--pyi_out={stubs}"], contract)
    _protoc(
        [f"--plugin=protoc-gen-mypy_grpc={mypy_grpc}", f"--grpc_python_out={stubs}", f"--mypy_grpc_out=quiet:{stubs}"],
        services,
    )

    with tempfile.TemporaryDirectory() as scratch:
        image = write_image(Path(scratch) / "contract.binpb")
    document = openapi_document([file for file in image.file if file.package == _CALLERS_PACKAGE])
    (root / OPENAPI).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for file in image.file:
        file.ClearField("source_code_info")  # a changed comment does not change what Envoy reads
    (root / DESCRIPTORS).write_bytes(image.SerializeToString(deterministic=True))


def generated_files(root: Path) -> set[Path]:
    """Every generated file that is there below `root`, relative to it."""
    found = {path.relative_to(root) for path in (root / STUBS).rglob("*_pb2*.py*") if path.suffix in {".py", ".pyi"}}
    return found | {path for path in (DESCRIPTORS, OPENAPI) if (root / path).exists()}


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
