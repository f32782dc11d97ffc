"""Messages about invalid settings, each one line: unknown names, and values that are not allowed.

All of it is derived from the declared fields; no setting is mentioned here by name.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import SequenceMatcher
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from dotenv.parser import parse_stream
from pydantic import PostgresDsn, SecretStr
from pydantic.fields import FieldInfo

NEAR = 0.85
"""Minimum similarity (difflib's ratio) at which a name in the environment counts as a misspelled setting."""

_SAME_WORD = 0.6
"""Minimum similarity at which a word counts as a misspelling of another: PROT for PORT, but not USER for URL."""

_SUGGESTED = 0.6
"""Minimum similarity at which a setting is suggested for an unknown name."""

_AS_NEAR = 0.06
"""Maximum difference in similarity at which two settings are suggested: ATR_MULTIPLIER_STOP could be either."""

_OF_COMPOSE = ("COMPOSE_", "DOCKER_", "GRAFANA_")
"""Prefixes of variables that Docker Compose reads from the same `.env`."""

_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")
"""Variables that Kubernetes sets in every container for each Service, whose name may resemble a setting."""

_OF_OPENTELEMETRY = "OTEL_"
"""Prefix of the variables of OpenTelemetry. Two are settings, and its SDK reads others, whose names begin alike."""

_OF_IMAGES = "_FILE"
"""Suffix with which container images name a file that contains the value: POSTGRES_PASSWORD_FILE."""

_LONGEST_VALUE = 80


def unknown_names(
    known: Iterable[str], renamed: Iterable[str], environment: Iterable[str], env_file: Path
) -> list[str]:
    """Return a message for each unknown name that is intended for this program.

    These are all names in `env_file` except those of Docker Compose, and the names in the environment that resemble a
    setting (`_resembles_a_setting`), because other programs use the environment too. Names are not case-sensitive.

    Args:
        known: names of the settings.
        renamed: older names of settings, which are accepted.
        environment: names of the variables that are not empty.
        env_file: the `.env` file, which may be absent.

    Raises:
        ValueError: the file cannot be read or parsed; the message is one line that names it.
    """
    settings = {name.upper() for name in known}
    accepted = settings | {name.upper() for name in renamed}
    in_file = sorted({name.upper() for name in names_in(env_file)} - accepted)
    in_environment = sorted({name.upper() for name in environment} - accepted)
    return [
        *(_message(name, f"{env_file}: ", settings) for name in in_file if not name.startswith(_OF_COMPOSE)),
        *(_message(name, "", settings) for name in in_environment if _resembles_a_setting(name, settings)),
    ]


def _resembles_a_setting(name: str, settings: Iterable[str]) -> bool:
    """Return whether a name in the environment is probably a misspelled setting.

    It either begins with the same two letters and is similar as a whole (NEAR) and word by word, or it begins with all
    words of a setting but the last, if these are two or more: ATR_MULTIPLIER_STOP, POSITION_SIZE. One word in common is
    not enough: GRPC_TRACE, DATABASE_USER and POSTGRES_INITDB_ARGS belong to other programs.
    """
    if name.startswith(_OF_OPENTELEMETRY):
        alike = [setting for setting in settings if setting.count("_") == name.count("_")]
        return any(_similarity(name, setting) >= NEAR and _similar_by_word(name, setting) for setting in alike)
    for setting in settings:
        stem = setting.rpartition("_")[0]
        if "_" in stem and f"{name}_".startswith(f"{stem}_") and not _OF_KUBERNETES.search(name):
            return True
        if name[:2] == setting[:2] and _similarity(name, setting) >= NEAR and _similar_by_word(name, setting):
            return name != setting + _OF_IMAGES and not (name.startswith(f"{setting}_") and _OF_KUBERNETES.search(name))
    return False


def _similar_by_word(name: str, setting: str) -> bool:
    """Return False if both have the same number of words and one word is not similar to its counterpart."""
    words, others = name.split("_"), setting.split("_")
    pairs = zip(words, others, strict=False)
    return len(words) != len(others) or all(_similarity(word, other) >= _SAME_WORD for word, other in pairs)


def _message(name: str, where: str, settings: Iterable[str]) -> str:
    ratios = {setting: _similarity(name, setting) for setting in sorted(settings)}
    nearest = max(ratios.values())
    near = [setting for setting, ratio in ratios.items() if ratio >= max(nearest - _AS_NEAR, _SUGGESTED)]
    near.sort(key=ratios.__getitem__, reverse=True)
    hint = f"did you mean {_listed(near[:2])}?" if near else "`tradingsignals config --example` lists them all"
    return f"{where}{_printable(name)} is not a setting; {hint}"


def _similarity(name: str, setting: str) -> float:
    return SequenceMatcher(None, name, setting, autojunk=False).ratio()


def names_in(env_file: Path) -> Iterator[str]:
    """Yield every name that the file sets.

    Raises:
        ValueError: it cannot be read, or a line of it cannot be parsed.
    """
    if not env_file.exists():
        return
    try:
        with env_file.open(encoding="utf-8") as lines:
            bindings = list(parse_stream(lines))
    except OSError as error:
        raise ValueError(f"{env_file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{env_file} cannot be read: it is not UTF-8") from error
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            blank = len(binding.original.string) - len(binding.original.string.lstrip())
            line = binding.original.line + binding.original.string[:blank].count("\n")
            # The line itself is not shown, because it may contain a password.
            raise ValueError(f"{env_file}, line {line}: a line is NAME=value, or a comment that begins with #")
        if binding.key is not None:
            yield binding.key.strip("'\"")


def impossible_value(name: str, field: FieldInfo, value: object, why: str) -> str:
    """Return a message with the name of a setting, its value unless secret, and the allowed values.

    Args:
        name: name of the setting.
        field: its declaration.
        value: the invalid value.
        why: the message of pydantic, used if the declaration does not define the allowed values.
    """
    reason = why.removeprefix("Value error, ")
    allowed = _allowed(field) if reason == why else ""
    shown = "" if _secret(field) else f"={_printable(str(value))}"
    return f"{name.upper()}{shown}: {f'must be {allowed}' if allowed else reason[:1].lower() + reason[1:]}"


def _printable(text: str) -> str:
    """Return `text` on one line and cut to _LONGEST_VALUE."""
    short = text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in short)


def _types(field: FieldInfo) -> Sequence[Any]:
    annotation = field.annotation
    union = get_origin(annotation) in {Union, types.UnionType}
    return [kind for kind in get_args(annotation) if kind is not type(None)] if union else [annotation]


def _secret(field: FieldInfo) -> bool:
    plain = (get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in _types(field))
    return any(kind in {SecretStr, PostgresDsn} for kind in plain)


def _allowed(field: FieldInfo) -> str:
    """Describe the values that the declaration of a setting allows; empty if its type has no description."""
    kinds = _types(field)
    if len(kinds) != 1 or not isinstance(kinds[0], type):
        return ""
    kind: type[Any] = kinds[0]
    if issubclass(kind, Enum):
        return _listed([str(member.value) for member in kind])
    words: Mapping[type[Any], str] = {
        bool: "true or false",
        date: "a date such as 2020-01-02",
        PostgresDsn: "a URL such as postgresql://user:password@host:5432/database",
    }
    if kind in words:
        return words[kind]
    numbers: Mapping[type[Any], str] = {int: "a whole number", float: "a finite number"}
    return numbers[kind] + _range(field.metadata) if kind in numbers else ""


def _range(bounds: Iterable[object]) -> str:
    words = []
    for bound in bounds:
        match bound:
            case Ge(ge=lowest):
                words.append(f">= {lowest}")
            case Gt(gt=lowest):
                words.append(f"> {lowest}")
            case Le(le=highest):
                words.append(f"<= {highest}")
            case Lt(lt=highest):
                words.append(f"< {highest}")
    return f" {' and '.join(words)}" if words else ""


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
