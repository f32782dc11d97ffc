"""Options that several commands take, and the types of their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from ..config.settings import Settings


class FiniteRange(click.FloatRange):
    """A number within bounds, which is neither NaN nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click.ParamType."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def address_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that calls a running service the option `--address`."""
    return click.option(
        "--address",
        default=lambda: Settings.from_env().public_address(),
        show_default="SIGNAL_SERVICE_HOST and SIGNAL_SERVICE_PORT of the settings",
        help="Where the service listens.",
    )(command)
