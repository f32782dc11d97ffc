"""Rules of the tree that no linter checks: the imports of the tests, and the shape of the server's modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "server"
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
SERVER_FILES = sorted(file for file in (SERVER / "tradingsignals_server").rglob("*.py") if "internal" not in file.parts)
CLIENT_FILES = sorted(file for file in (ROOT / "clients" / "python").rglob("*.py") if "v1" not in file.parts)
SHIPPED_FILES = [*SERVER_FILES, *CLIENT_FILES]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def module_name(file: Path, below: Path) -> str:
    parts = file.relative_to(below).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(file: Path, below: Path) -> Iterator[str]:
    """Yield what a file imports, wherever in the file, as dotted names; for `from a import b` this is `a.b`."""
    package = file.relative_to(below).parent.parts
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *([node.module] if node.module else [])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_tests_import_from_support_and_their_conftest_only() -> None:
    found = {}
    for file in TEST_FILES:
        allowed = ("tests.support", module_name(file.parent / "conftest.py", ROOT))
        others = [name for name in imported_names(file, ROOT) if name.startswith("tests.")]
        if forbidden := [name for name in others if not name.startswith(allowed)]:
            found[str(file.relative_to(ROOT))] = forbidden
    assert found == {}, "move what is shared to tests/support"


def steps_up(node: ast.expr) -> int | None:
    """Count the folders that `Path(__file__).parents[2].parent`, or the like, goes up; None for anything else."""
    match node:
        case ast.Call(func=ast.Name("Path"), args=[ast.Name("__file__")]):
            return 0
        case ast.Call(func=ast.Attribute(value=value, attr="resolve")):
            return steps_up(value)
        case ast.Attribute(value=value, attr="parent"):
            return None if (steps := steps_up(value)) is None else steps + 1
        case ast.Subscript(value=ast.Attribute(value=value, attr="parents"), slice=ast.Constant(value=int(index))):
            return None if (steps := steps_up(value)) is None else steps + index + 1
    return None


def test_tests_read_no_file_outside_the_repository() -> None:
    assert [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in TEST_FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.expr) and (steps_up(node) or 0) > len(file.relative_to(ROOT).parts)
    ] == []


def test_no_file_of_server_and_client_is_too_long() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in SHIPPED_FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_of_server_and_client_is_too_long() -> None:
    lengths = {
        f"{file.relative_to(ROOT)} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for file in SHIPPED_FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_class_names_are_unique_in_the_server() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for file in SERVER_FILES:
        for node in ast.walk(tree_of(file)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(file.relative_to(SERVER)))
    duplicates = {name: files for name, files in places.items() if len(files) > 1}
    assert duplicates == {}


def imports_among(files: list[Path]) -> dict[str, set[str]]:
    """Return the modules of the server that each module imports, those for type checking and in functions included."""
    modules = {module_name(file, SERVER) for file in files}

    def module_of(name: str) -> str | None:
        if name in modules:
            return name
        return parent if (parent := name.rpartition(".")[0]) in modules else None

    imports: dict[str, set[str]] = {}
    for file in files:
        name = module_name(file, SERVER)
        found = {module_of(imported) for imported in imported_names(file, SERVER)}
        imports[name] = {module for module in found if module is not None} - {name}
    return imports


def test_modules_of_the_server_import_each_other_in_one_direction() -> None:
    imports = imports_among(SERVER_FILES)
    # Remove modules that import none of the rest, until each of the rest imports another of the rest.
    while leaves := {name for name, imported in imports.items() if not imported & imports.keys()}:
        imports = {name: imported - leaves for name, imported in imports.items() if name not in leaves}
    # The same from the other end leaves the cycles, and what lies between them.
    while imports and (roots := imports.keys() - set().union(*imports.values())):
        imports = {name: imported for name, imported in imports.items() if name not in roots}
    assert imports == {}, "an import cycle"
