"""What can be wrong with the settings, each in a phrase that fits on one line: names that no setting has, and values.

Everything is derived from the fields that are declared; nothing here knows a setting by name.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import SequenceMatcher
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from dotenv.parser import parse_stream
from pydantic import PostgresDsn, SecretStr
from pydantic.fields import FieldInfo

NEAR = 0.85
"""Similarity (difflib's ratio) from which a name in the environment is taken for a setting misspelt."""

_SAME_WORD = 0.6
"""Similarity from which a word is taken for another one misspelt: PROT for PORT, but not USER for URL."""

_SUGGESTED = 0.6
"""Similarity from which a setting is suggested for a name that is refused anyway."""

_AS_NEAR = 0.06
"""Two settings that differ by no more in similarity are both suggested: ATR_MULTIPLIER_STOP could be either."""

_OF_COMPOSE = ("COMPOSE_", "DOCKER_")
"""Docker Compose reads these from the same `.env`."""

_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")
"""Kubernetes sets these in every container for each Service, whose name may be like one of ours."""

_OF_IMAGES = "_FILE"
"""Images of containers take a secret from the file that a variable with this ending names: POSTGRES_PASSWORD_FILE."""

_LONGEST_VALUE = 80


def unknown_names(known: Iterable[str], environment: Iterable[str], env_file: Path) -> list[str]:
    """A phrase for each name that is meant for us and is no setting.

    Those are all names in `env_file` but Compose's own, and the names in the environment that begin like a setting
    (see `_meant_for_us`), since it is shared with other programs. Case does not matter.

    Args:
        known: names of the settings.
        environment: names of the variables that are not empty.
        env_file: the `.env` file, which may be absent.

    Raises:
        ValueError: the file is none that can be read; the message is one line that names it.
    """
    settings = {name.upper() for name in known}
    in_file = sorted({name.upper() for name in _names_in(env_file)} - settings)
    around = sorted({name.upper() for name in environment} - settings)
    return [
        *(_phrase(name, f"{env_file}: ", settings) for name in in_file if not name.startswith(_OF_COMPOSE)),
        *(_phrase(name, "", settings) for name in around if _meant_for_us(name, settings)),
    ]


def _meant_for_us(name: str, settings: Iterable[str]) -> bool:
    """True if a name in the environment begins like a setting.

    It either begins with the same two letters and is similar as a whole (NEAR) and word by word, or it begins with all
    words of a setting but the last, if these are two or more: ATR_MULTIPLIER_STOP, POSITION_SIZE. One word in common is
    not enough: GRPC_TRACE, DATABASE_USER and POSTGRES_INITDB_ARGS belong to other programs.
    """
    for setting in settings:
        stem = setting.rpartition("_")[0]
        if "_" in stem and f"{name}_".startswith(f"{stem}_") and not _OF_KUBERNETES.search(name):
            return True
        if name[:2] == setting[:2] and _similarity(name, setting) >= NEAR and _similar_by_word(name, setting):
            return name != setting + _OF_IMAGES and not (name.startswith(f"{setting}_") and _OF_KUBERNETES.search(name))
    return False


def _similar_by_word(name: str, setting: str) -> bool:
    """False if both have as many words, and one of them is another word altogether."""
    words, theirs = name.split("_"), setting.split("_")
    pairs = zip(words, theirs, strict=False)
    return len(words) != len(theirs) or all(_similarity(word, other) >= _SAME_WORD for word, other in pairs)


def _phrase(name: str, where: str, settings: Iterable[str]) -> str:
    ratios = {setting: _similarity(name, setting) for setting in sorted(settings)}
    nearest = max(ratios.values())
    near = [setting for setting, ratio in ratios.items() if ratio >= max(nearest - _AS_NEAR, _SUGGESTED)]
    near.sort(key=ratios.__getitem__, reverse=True)
    hint = f"did you mean {_listed(near[:2])}?" if near else "`tradingsignals config --example` lists them all"
    return f"{where}{_printable(name)} is not a setting; {hint}"


def _similarity(name: str, setting: str) -> float:
    return SequenceMatcher(None, name, setting, autojunk=False).ratio()


def _names_in(env_file: Path) -> Iterator[str]:
    """Every name that the file sets.

    Raises:
        ValueError: it cannot be read, or a line of it is none.
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
            # The line itself is not shown: it may hold a password.
            raise ValueError(f"{env_file}, line {line}: a line is NAME=value, or a comment that begins with #")
        if binding.key is not None:
            yield binding.key.strip("'\"")


def impossible_value(name: str, field: FieldInfo, value: object, why: str) -> str:
    """A phrase that names a setting, its value unless that is secret, and what is allowed.

    `why` is what pydantic says; it is used where the declaration does not say what is allowed.
    """
    reason = why.removeprefix("Value error, ")
    allowed = _allowed(field) if reason == why else ""
    shown = "" if _secret(field) else f"={_printable(str(value))}"
    return f"{name.upper()}{shown}: {f'must be {allowed}' if allowed else reason[:1].lower() + reason[1:]}"


def _printable(text: str) -> str:
    """The text in one line of bounded length."""
    short = text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in short)


def _types(field: FieldInfo) -> Sequence[Any]:
    annotation = field.annotation
    union = get_origin(annotation) in {Union, types.UnionType}
    return [kind for kind in get_args(annotation) if kind is not type(None)] if union else [annotation]


def _secret(field: FieldInfo) -> bool:
    return any(kind in {SecretStr, PostgresDsn} for kind in _types(field))


def _allowed(field: FieldInfo) -> str:
    """What the declaration of a setting allows, in words; empty if it is not of a kind that can be said so."""
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
