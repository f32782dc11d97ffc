"""The rule of every method: the table of `protos/access.yaml`, which `make generate` writes as JSON for the server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import resources

from ...domain.access import Caller, Rule
from ..contract import EDGE_SERVICES, SERVICES, path_of

FILE = "access.json"


class MethodWithoutRule(Exception):
    """A method is served that `protos/access.yaml` has no rule for. The message is one line that names it."""


def method_rules() -> dict[str, Rule]:
    """Return the rule of each method by its path: those of the table, and the same calls of the edge."""
    text = resources.files("tradingsignals_server.internal").joinpath(FILE).read_text(encoding="utf-8")
    rules = {path: Rule(rule) for path, rule in json.loads(text)["methods"].items()}
    return rules | {path: rules[public] for path, public in method_names().items() if public in rules}


def method_names() -> dict[str, str]:
    """Return the path in the public contract of each method of the edge, by its own."""
    public = {method.name: path_of(method) for service in SERVICES.values() for method in service.methods}
    return {path_of(method): public[method.name] for service in EDGE_SERVICES.values() for method in service.methods}


def allowed_methods(caller: Caller, rules: Mapping[str, Rule]) -> list[str]:
    """Return the public methods that a caller may call, "package.Service/Method", in alphabetical order."""
    paths = (path_of(method) for service in SERVICES.values() for method in service.methods)
    return sorted(path.removeprefix("/") for path in paths if caller.may(rules[path]))


def require_rules(rules: Mapping[str, Rule], paths: Iterable[str]) -> None:
    """Check that every method that is served has a rule.

    Raises:
        MethodWithoutRule: one has none.
    """
    for path in paths:
        if path not in rules:
            raise MethodWithoutRule(f"{path} is in no rule of protos/access.yaml, so no caller could call it")
