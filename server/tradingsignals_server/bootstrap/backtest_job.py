"""The job of a backtest process, made from the order of a caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..adapters.onnx.repository import model_of_version, shipped_models
from ..application.ports.backtests import BacktestOrder
from ..config.settings import InvalidSettings, Settings
from ..domain.errors import InvalidRequest
from .backtest import parse_settings

WORKER = f"{__package__}.backtest_worker"
"""The module that the process runs."""


@dataclass(frozen=True, slots=True)
class BacktestJob:
    """What the process needs: the order, the database, and the settings that differ from the environment."""

    order: BacktestOrder
    dsn: str
    changed: dict[str, str]
    model: Path | None


def backtest_job(
    settings: Settings, dsn: str, versions: Callable[[], Sequence[str]], order: BacktestOrder
) -> BacktestJob:
    """Return the job of an order.

    Args:
        settings: of the service.
        dsn: address of its database.
        versions: returns the versions of the model that are available.
        order: what to run.

    Raises:
        InvalidRequest: a setting or the version is impossible.
    """
    try:
        changed = parse_settings(order.settings)
        Settings.from_env(**changed)
    except InvalidSettings as error:
        raise InvalidRequest.field("settings", str(error)) from error
    model = settings.model_path
    if order.model_version:
        folder = shipped_models() if model is None else model
        if folder is None or order.model_version not in versions():
            available = ", ".join(versions()) or "none"
            raise InvalidRequest.field("model_version", f"is not available; those that are: {available}")
        model = model_of_version(folder, order.model_version)
    return BacktestJob(order, dsn, changed, model)
