"""Features of the user's own, from a Python module; see tradingsignals_server.features."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..domain.features import FeatureContext, FeaturesFailed, Observation
from ..domain.features.specification import LARGEST_SIZE, LONGEST_HISTORY
from ..domain.wording import counted
from ..features import BarArrays, SessionPlace, UserFeatures

PYTHON = "python:"
"""Begin of the specification of a model that was trained on features of a module."""

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


class FeaturesRefused(Exception):
    """Features of a module cannot be used. The message is one line: which, the problem, and what to do."""


class PythonFeatures:
    """The features of an object of the user's; see Features.

    source_sha256: hash of the source of its module, "" without one.

    Raises:
        FeaturesRefused: on construction, if the object does not have what UserFeatures declares.
    """

    uses_position = False

    def __init__(self, reference: str, user: UserFeatures, source_sha256: str = "") -> None:
        _check(reference, user)
        self.reference = reference
        self.name = PYTHON + reference
        self.names = tuple(user.names)
        self.size = len(self.names)
        self.lookback_bars = self.history_bars = int(user.lookback_bars)
        self.warm_bars = int(user.warm_bars)
        self.source_sha256 = source_sha256
        self._user = user

    def observe(self, context: FeatureContext) -> Observation:
        """See Features."""
        if context.bars < self.warm_bars:
            raise FeaturesFailed(f"{self.reference} needs {counted(self.warm_bars, 'bar')} and got {context.bars}")
        session = SessionPlace(context.session_progress, context.session_bars or 0, context.session_bars_left or 0)
        try:
            with np.errstate(all="ignore"):
                given = self._user.observe(BarArrays(*context.window.rows.copy()), session)
                found = np.array(given, dtype=np.float32)
        except Exception as error:
            raise FeaturesFailed(f"{self.reference} raised {one_line(error)}") from error
        if found.shape != (self.size,):
            raise FeaturesFailed(f"{self.reference} gave numbers of shape {found.shape} for {self.size} names")
        if not np.isfinite(found).all():
            wrong = int(np.flatnonzero(~np.isfinite(found))[0])
            raise FeaturesFailed(f"{self.reference} gave {found[wrong]:g} as {self.names[wrong]}")
        return found


def load_features(reference: str) -> PythonFeatures:
    """Import the module of a reference such as "mymodule:features", from the working folder or from what is installed.

    PYTHON before it, as it stands in a model file, is left out.

    Raises:
        FeaturesRefused: there is no such module or attribute, its import fails, or it is not UserFeatures.
    """
    reference = reference.removeprefix(PYTHON)
    if not _REFERENCE.fullmatch(reference):
        raise FeaturesRefused(f"FEATURES={reference!r}: module and attribute are needed, such as mymodule:features")
    name, attribute = reference.split(":")
    module = _imported(reference, name)
    if not hasattr(module, attribute):
        raise FeaturesRefused(f"FEATURES={reference}: {_place(module)} has no {attribute}; define it there")
    return PythonFeatures(reference, getattr(module, attribute), _source_sha256(module))


def named_by(
    reference: str,
    names: Sequence[str],
    own: PythonFeatures | None,
    *,
    lookback_bars: int | None = None,
    source_sha256: str | None = None,
) -> PythonFeatures:
    """Return `own`, the features of the setting FEATURES, if they are those that a model file names.

    A file never makes the service import a module: the operator names it.

    Args:
        reference: module and attribute by the file.
        names: of its features, by the file.
        own: the features that the operator named, None if there are none.
        lookback_bars: by the file; None if it does not say.
        source_sha256: hash of the source of the module by the file; None if it does not say.

    Raises:
        FeaturesRefused: they are not; the message says what to do.
    """
    if own is None or own.reference != reference:
        raise FeaturesRefused(
            f"was trained on the features of a Python module; set FEATURES={reference} (of a command: --features)"
        )
    if own.names != tuple(names):
        trained, found = (", ".join(each)[:200] for each in (names, own.names))
        raise FeaturesRefused(f"was trained on {trained}, and {reference} has {found}; use the module of its training")
    if lookback_bars not in (None, own.lookback_bars):
        raise FeaturesRefused(
            f"was trained on features of {lookback_bars} bars, and {reference} has lookback_bars={own.lookback_bars}; "
            "use the module of its training"
        )
    if source_sha256 and source_sha256 != own.source_sha256:
        raise FeaturesRefused(
            f"was made with another source of {reference} (sha256 {source_sha256[:12]}, and here "
            f"{own.source_sha256[:12] or 'none'}); use the module of its training, or, if it computes the same, stamp "
            f"the file again: tradingsignals stamp FILE --features {reference} --out NEW"
        )
    return own


def one_line(error: BaseException) -> str:
    """Return type and message of an exception on one line of up to 200 characters."""
    message = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _imported(reference: str, name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:  # an installed command does not look there by itself
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise FeaturesRefused(
                f"FEATURES={reference}: there is no module {name} in {folder} or among what is installed; start in its "
                "folder, or install it"
            ) from error
        raise FeaturesRefused(f"FEATURES={reference}: its import needs {error.name}, which is not installed") from error
    except Exception as error:
        raise FeaturesRefused(f"FEATURES={reference}: its import raised {one_line(error)}") from error


def _check(reference: str, user: Any) -> None:
    problem = None
    if isinstance(user, type):
        problem = f"is a class; make an instance, such as features = {user.__name__}()"
    elif missing := [name for name in ("names", "lookback_bars", "warm_bars", "observe") if not hasattr(user, name)]:
        problem = f"has no {', '.join(missing)}; see tradingsignals_server.features.UserFeatures"
    elif not callable(user.observe):
        problem = "has an observe that is not a method"
    elif not _are_names(user.names):
        problem = f"needs as names 1 to {LARGEST_SIZE} different strings of 1 to 64 characters"
    elif not all(_is_count(bars) for bars in (user.lookback_bars, user.warm_bars)):
        problem = f"needs as lookback_bars and warm_bars whole numbers from 1 to {LONGEST_HISTORY}"
    elif user.warm_bars > user.lookback_bars:
        problem = f"has warm_bars={user.warm_bars}, which must not be above lookback_bars={user.lookback_bars}"
    if problem is not None:
        raise FeaturesRefused(f"FEATURES={reference}: {problem}")


def _are_names(names: Any) -> bool:
    return (
        isinstance(names, Sequence)
        and not isinstance(names, str)
        and 1 <= len(names) <= LARGEST_SIZE
        and all(isinstance(name, str) and 1 <= len(name) <= 64 and name.isprintable() for name in names)
        and len(set(names)) == len(names)
    )


def _is_count(bars: Any) -> bool:
    return isinstance(bars, int) and not isinstance(bars, bool) and 1 <= bars <= LONGEST_HISTORY


def _place(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)


def _source_sha256(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
