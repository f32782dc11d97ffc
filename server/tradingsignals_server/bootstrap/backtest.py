"""What a backtest is built from: the policy and the rules that a server with the same settings would have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches

from .. import __version__
from ..application.backtest.run import DEFAULT_SEED, BacktestPlan
from ..application.ports.policy import Policy
from ..config.rules import RULE_SETTINGS
from ..config.settings import InvalidSettings, Settings
from ..config.values import shown_value
from ..domain.performance.bootstrap import BootstrapSettings
from ..domain.performance.summary import PerformanceSettings
from .engine import model_source, require_model, user_features


def load_policy(settings: Settings) -> Policy:
    """Load the policy of MODEL_PATH, with the features of FEATURES if it was trained on them.

    Raises:
        FeaturesRefused: those cannot be used.
        ModelNotLoaded: it is refused.
        InvalidSettings: there is no such file or folder.
    """
    require_model(settings)
    return model_source(settings.model_path, "MODEL_PATH", user_features(settings)).load()


def rule_settings(settings: Settings) -> Mapping[str, str]:
    """Return the settings that results depend on, by their names in capitals, as text."""
    return {name.upper(): shown_value(getattr(settings, name)) for name in RULE_SETTINGS}


def parse_settings(assignments: Iterable[str]) -> dict[str, str]:
    """Parse NAME=VALUE of settings that a backtest depends on.

    Raises:
        InvalidSettings: one has another form or names no such setting.
    """
    parsed = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise InvalidSettings(f"{assignment!r} must be NAME=VALUE, such as CONFIDENCE_THRESHOLD=0.7")
        parsed[setting_name(name)] = value
    return parsed


def setting_name(name: str) -> str:
    """Return the name of a setting as Settings has it.

    Raises:
        InvalidSettings: a backtest depends on no such setting. The message names the nearest that it does.
    """
    lower = name.strip().lower().replace("-", "_")
    if lower in RULE_SETTINGS:
        return lower
    near = get_close_matches(lower, RULE_SETTINGS, 1)
    hint = f"; did you mean {near[0].upper()}?" if near else f"; it depends on {', '.join(RULE_SETTINGS).upper()}"
    raise InvalidSettings(f"{name.upper()} is no setting that a backtest depends on{hint}")


def backtest_plan(
    settings: Settings,
    policy: Policy,
    source: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    compare: bool = True,
    seed: int = DEFAULT_SEED,
    resamples: int | None = None,
) -> BacktestPlan:
    """Return the plan of a backtest with these settings.

    Args:
        settings: whose rules and calendars apply.
        policy: decides.
        source: where the bars come from, for people.
        start: bars before it only warm up.
        end: bars from it on are left out.
        compare: also trade the comparisons.
        seed: of the coin.
        resamples: of the bootstrap, 0 for no intervals; None for the default.
    """
    bootstrap = BootstrapSettings() if resamples is None else BootstrapSettings(resamples)
    return BacktestPlan(
        policy=policy,
        rules=settings.risk_rules,
        calendar_of=settings.calendar_of,
        settings=rule_settings(settings),
        source=source,
        version=__version__,
        start=start,
        end=end,
        expiry_bars=settings.outcome_expiry_bars,
        compare=compare,
        seed=seed,
        performance=PerformanceSettings(bootstrap=bootstrap),
    )
