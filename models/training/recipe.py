"""The recipe of a training: every parameter but the data, and its file, recipe.toml beside the model."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.features import M5_V1
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL, interval_name
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.window import LOOKBACK_BARS

from .split import Months

DEFAULT_SPREAD = "USDCOP=1.0,*=2bp"
"""The spread of a round trip without --spread, in the format of the setting SPREAD.

One peso is 2.5 basis points at a price of 4,000: a round figure for the interbank market in its liquid hours, not a
measured one, because the data has no bid and no ask. Brokerage there is small in comparison, so there is no commission.
A client of a bank pays a multiple of it; the model card shows the result at double the spread. Two basis points for any
other symbol is also the service's default; for a major currency pair it is far too much.
"""

STEPS = 60
"""Bars of a rollout in each environment."""

LEAST_ACTING = 0.02
"""A policy that acts on a smaller fraction of the bars, at the default threshold and by itself, is not selected."""

RECIPE_FILE = "recipe.toml"
_HEAD = "# What the model beside this file was trained by: `make train DATA=bars.csv.gz ARGS='--recipe {name}'`.\n"


class InvalidRecipe(ValueError):
    """A recipe is malformed. The message is one line that names the entry and says what is needed."""


def rules_for(symbol: str, spread: str = DEFAULT_SPREAD) -> RiskRules:
    """The rules of training and evaluation for policies of `symbol`: the service's defaults, and a spread.

    spread: in the format of the setting SPREAD, such as "0.9pip"; an item without a symbol applies to this one.

    Raises:
        ValueError: it is not a spread; the message is one line.
    """
    text = spread if "=" in spread else f"{symbol}={spread}"
    return RiskRules(spread=Charges(Charges.parse(text, Charge()).of(symbol)))


@dataclass(frozen=True, slots=True)
class Variant:
    """The parameters of one kind of run, without the seed.

    hidden_size: of the one LSTM layer of actor and critic each; head_size: of the tanh layer after it.
    imitation_epochs, imitation_rate, imitation_scale: see imitation.imitate_hindsight; no epochs: a cold start.
    profit_epochs: epochs of imitation.seek_profit after it, at the same rate.
    least_side: fraction of the training bars on which it teaches the policy to take BUY, and as many SELL; with 0 a
    policy that finds no edge never acts. PPO's rewards are profits alone.
    entropy: weight of the entropy in the loss at the first step of PPO; it falls linearly to 0 at the last, so that the
    policy ends as sure as its experience makes it.
    The rest is RecurrentPPO's: rollouts of `environments` x 60 bars, which is a session each.
    """

    name: str
    hidden_size: int = 64
    head_size: int = 32
    imitation_epochs: int = 5
    imitation_rate: float = 1e-3
    imitation_scale: float = 1.4
    profit_epochs: int = 10
    least_side: float = 0.04
    timesteps: int = 76_800
    environments: int = 128
    minibatch: int = 1920
    epochs: int = 4
    learning_rate: float = 3e-4
    gamma: float = 0.97
    gae_lambda: float = 0.95
    entropy: float = 0.003

    def __post_init__(self) -> None:
        counts = ("hidden_size", "head_size", "timesteps", "environments", "minibatch", "epochs")
        if short := [name for name in counts if getattr(self, name) < 1]:
            raise InvalidRecipe(f"{short[0]} of the variant {self.name!r} must be at least 1")
        if negative := [one.name for one in fields(self) if one.name != "name" and getattr(self, one.name) < 0.0]:
            raise InvalidRecipe(f"{negative[0]} of the variant {self.name!r} must be at least 0")
        if self.imitation_scale == 0.0:
            raise InvalidRecipe(f"imitation_scale of the variant {self.name!r} must be above 0")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole training.

    variants: run with every seed; the best run by the validation range is exported.
    spread: see `rules_for`. seeds: each for every variant. months: of the ranges that are held out.
    features: what a policy observes, as `tradingsignals stamp --features` has it: m5-v1, or expressions of the
    catalogue, such as "rsi(14),return(3)". lookback: bars that they are computed from. interval: of the bars.
    tried: runs that were tried before on the same data, and count in the deflated Sharpe ratio.
    notes: sentences for the limits in the card.
    """

    variants: tuple[Variant, ...] = field(
        default_factory=lambda: (
            Variant("wide-64", least_side=0.05),
            Variant("narrow-64", least_side=0.03),
        )
    )
    features: str = M5_V1.name
    lookback: int = LOOKBACK_BARS
    interval: str = interval_name(DEFAULT_INTERVAL)
    spread: str = DEFAULT_SPREAD
    seeds: tuple[int, ...] = (1, 2, 3)
    months: Months = field(default_factory=Months)
    tried: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if not names or len(set(names)) != len(names):
            raise InvalidRecipe("at least one [[variant]] is needed, each with a name of its own")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InvalidRecipe("seeds must be a list of different whole numbers, at least one")

    def with_timesteps(self, timesteps: int) -> Recipe:
        """This recipe with another length of every run."""
        return replace(self, variants=tuple(replace(variant, timesteps=timesteps) for variant in self.variants))

    def text(self) -> str:
        """The contents of its file."""
        entries = {**_values(self, "variants", "months"), "months": asdict(self.months)}
        table = ", ".join(f"{name} = {_toml(value)}" for name, value in entries.pop("months").items())
        lines = [f"{name} = {_toml(value)}" for name, value in entries.items()]
        lines.append(f"months = {{ {table} }}")
        for variant in self.variants:
            lines += ["", "[[variant]]", *(f"{name} = {_toml(value)}" for name, value in asdict(variant).items())]
        return "\n".join((_HEAD.format(name=RECIPE_FILE), *lines, ""))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The recipe in a file; what it does not name has its default.

        Raises:
            InvalidRecipe: it cannot be read or is malformed.
        """
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidRecipe(f"{path}: cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidRecipe(f"{path}: is not TOML ({error})") from error
        try:
            return cls._of(entries)
        except InvalidRecipe as error:
            raise InvalidRecipe(f"{path}: {error}") from error

    @classmethod
    def _of(cls, entries: Mapping[str, Any]) -> Self:
        given = dict(entries)
        variants = given.pop("variant", None)
        months = given.pop("months", None)
        made: dict[str, Any] = _checked(cls, given, "the recipe")
        if variants is not None:
            if not isinstance(variants, list):
                raise InvalidRecipe("variants are tables: write [[variant]]")
            made["variants"] = tuple(Variant(**_checked(Variant, one, "a variant", "name")) for one in variants)
        if months is not None:
            made["months"] = Months(**_checked(Months, months, "months"))
            if min(asdict(made["months"]).values()) < 1:
                raise InvalidRecipe("each of months must be at least 1")
        return cls(**made)


def _values(made: Any, *omitted: str) -> dict[str, Any]:
    return {one.name: getattr(made, one.name) for one in fields(made) if one.name not in omitted}


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # Strings and numbers of JSON are those of TOML, but for exponents without a point, which repr does not write.
    return json.dumps(value) if isinstance(value, str) else repr(value)


_TYPES: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
_LISTS: Mapping[str, type] = {"tuple[int, ...]": int, "tuple[str, ...]": str}
_NEEDED = {"str": "a string", "int": "a whole number", "float": "a number"}


def _checked(kind: type, entries: object, what: str, *required: str) -> dict[str, Any]:
    """The arguments of a dataclass in a table of TOML."""
    if not isinstance(entries, dict):
        raise InvalidRecipe(f"{what} must be a table")
    known = {one.name: str(one.type) for one in fields(kind)}
    if unknown := [name for name in entries if name not in known or known[name].startswith("tuple[Variant")]:
        raise InvalidRecipe(f"{unknown[0]!r} is no entry of {what}; there are {', '.join(known)}")
    if missing := [name for name in required if name not in entries]:
        raise InvalidRecipe(f"{missing[0]!r} is missing in {what}")
    made = dict[str, Any]()
    for name, value in entries.items():
        if (items := _LISTS.get(known[name])) is not None:
            if not (isinstance(value, list) and all(type(one) is items for one in value)):
                needed = "strings" if items is str else "whole numbers"
                raise InvalidRecipe(f"{name} of {what} must be a list of {needed}")
            made[name] = tuple(value)
        elif isinstance(value, bool) or not isinstance(value, _TYPES[known[name]]):
            raise InvalidRecipe(f"{name} of {what} must be {_NEEDED[known[name]]}, not {value!r}")
        else:
            made[name] = value
    return made
