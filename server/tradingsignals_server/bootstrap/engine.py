"""The engine, and all that works beside it on the same state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from ..adapters.feeds.kind import FeedContext, OnProgress
from ..adapters.onnx.repository import fingerprint, load_newest, load_with_key, shipped_models, versions
from ..adapters.placeholder_policy import PlaceholderPolicy
from ..adapters.postgres.membership import Membership
from ..adapters.python_features import PythonFeatures, load_features
from ..api.mapping.log_messages import LOG_DECODERS
from ..application.cluster.forwarding import OwnerForwarding
from ..application.cluster.router import Router
from ..application.decision.pipeline import Pipeline
from ..application.decision.trader import Trader
from ..application.event_log.retention import Retention
from ..application.event_log.tail import LogTail
from ..application.event_log.tailer import LogReader
from ..application.explain.service import FindPolicy
from ..application.health import HealthReporter
from ..application.ingest.account_guard import AccountSource
from ..application.ingest.engine import Engine
from ..application.ingest.once import Once
from ..application.ledger.keeper import Books, LedgerKeeper
from ..application.models import ModelKeeper, ModelSource
from ..application.ports.feed import Feed
from ..application.ports.observer import EngineObserver, LedgerObserver
from ..application.ports.outcomes import LIVE
from ..application.ports.peer import PeerAt
from ..application.ports.policy import Policy
from ..application.ports.store import Store
from ..config.settings import PLACEHOLDER_PATH, InvalidSettings, Settings
from ..domain.account import Account
from ..domain.ledger import Ledger
from .exposure import exposure
from .storage import Storage

_RECENT = timedelta(days=7)
"""Age up to which bars are recent: longer than markets are closed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Core:
    """The parts of a server that are no transport."""

    storage: Storage
    pipeline: Pipeline
    log_tail: LogTail
    membership: Membership
    engine: Engine
    once: Once
    router: Router
    owner: OwnerForwarding
    models: ModelKeeper
    retention: Retention
    health: HealthReporter
    ledger: LedgerKeeper
    find_policy: FindPolicy


def utc_now() -> datetime:
    """Return the time of the wall clock."""
    return datetime.now(UTC)


async def build_core(
    settings: Settings,
    storage: Storage,
    peer_at: PeerAt,
    observers: Sequence[EngineObserver] = (),
    ledger_observer: LedgerObserver | None = None,
) -> Core:
    """Build the engine, its router, and what keeps models, retention and health."""
    store, clock = storage.store, utc_now
    own = user_features(settings)
    live, shadow = model_source(settings.model_path, "MODEL_PATH", own), _shadow_source(settings, own)
    pipeline = _pipeline(settings, live, shadow)
    log_tail = LogTail(store, await store.log_head())
    reader = LogReader(store, log_tail)
    membership = Membership(storage.dsn, reader.wake)
    engine = Engine(
        store,
        pipeline,
        log_tail,
        clock,
        bars_elsewhere=settings.bars_table is not None,
        is_replayed=settings.is_replayed,
        ownership=membership,
        reader=reader,
        max_symbols=settings.max_symbols,
        observers=observers,
        accounts=AccountSource(storage.outcomes, LOG_DECODERS),
    )
    router = Router(
        engine,
        membership,
        store,
        peer_at,
        partial(symbols_in_use, store, settings.max_symbols, is_live=settings.feed.is_live),
    )
    return Core(
        storage=storage,
        pipeline=pipeline,
        log_tail=log_tail,
        membership=membership,
        engine=engine,
        once=Once(store),
        router=router,
        owner=OwnerForwarding(router, peer_at),
        models=ModelKeeper(engine, pipeline, settings.risk_rules, live, shadow),
        retention=Retention(
            store,
            log_tail,
            clock,
            timedelta(days=settings.signal_retention_days),
            timedelta(seconds=settings.idempotency_seconds),
        ),
        ledger=LedgerKeeper(
            storage.outcomes, log_tail, books(settings), clock, reader.committed, observer=ledger_observer
        ),
        health=HealthReporter(
            store, engine, pipeline, clock, live_feed=settings.feed.is_live, notices=exposure(settings)
        ),
        find_policy=_find_policy(settings, own),
    )


async def symbols_in_use(store: Store, most: int, *, is_live: bool) -> Sequence[str]:
    """Return the symbols that some server must work on before a bar of them comes, the most urgent first.

    Those with an open position, and of a live feed those with recent bars: they are stale if none comes any more.
    """
    found = dict.fromkeys(await store.symbols_with_open_positions())
    if is_live:
        found |= dict.fromkeys(await store.symbols_with_bars_since(utc_now() - _RECENT, most))
    return list(found)


def build_feed(settings: Settings, core: Core, on_progress: OnProgress | None) -> Feed | None:
    """Build the configured feed; None if bars come by PublishBars alone."""
    context = FeedContext(
        utc_now,
        settings.calendar_of,
        on_progress,
        history_bars=core.pipeline.live.history_bars,
        report_problem=core.health.report_feed_problem,
    )
    return settings.feed.build(settings, context)


def books(settings: Settings) -> Books:
    """Return ledger and account as they begin with these settings."""
    rules, calendar_of = settings.risk_rules, settings.calendar_of

    def make_ledger(policy: str) -> Ledger:
        return Ledger(rules, calendar_of, settings.outcome_expiry_bars, model_key=policy, shadow=policy != LIVE)

    return Books(make_ledger, Account.opened(rules.initial_equity), rules.account_currency)


def _pipeline(settings: Settings, live: ModelSource, shadow: ModelSource | None) -> Pipeline:
    rules = settings.risk_rules
    costs = rules.spread, rules.commission, rules.slippage
    log.info("a trade is charged: spread %s, commission %s, slippage %s", *costs)
    shadow_trader = None if shadow is None else Trader(shadow.load(), rules)
    return Pipeline(Trader(live.load(), rules), settings.calendar_of, shadow_trader)


def user_features(settings: Settings) -> PythonFeatures | None:
    """Import the features that FEATURES names; None if it names none.

    Raises:
        FeaturesRefused: they cannot be used.
    """
    if settings.features is None:
        return None
    own = load_features(settings.features)
    log.info("features of %s: %s, source %s", own.reference, ", ".join(own.names), own.source_sha256[:12] or "unknown")
    return own


def model_source(path: Path | None, setting: str, own: PythonFeatures | None = None) -> ModelSource:
    """Find the policy: at `path`, without one the shipped policy, or placeholder predictions if there is none.

    `own` are the features of the setting FEATURES, for a model that was trained on them.
    """
    folder = shipped_models() if path is None else path
    if folder is None or folder == PLACEHOLDER_PATH:
        return ModelSource(fingerprint=lambda: None, load=PlaceholderPolicy, versions=lambda: ())
    return ModelSource(
        partial(fingerprint, folder), partial(load_newest, folder, setting, own), partial(versions, folder)
    )


def require_model(settings: Settings) -> None:
    """Check that MODEL_PATH exists, if it names a file or a folder.

    Raises:
        InvalidSettings: it does not.
    """
    model = settings.model_path
    if model is not None and model != PLACEHOLDER_PATH and not model.exists():
        raise InvalidSettings(f"MODEL_PATH={model}: there is no such file or folder")


def _find_policy(settings: Settings, own: PythonFeatures | None) -> FindPolicy:
    """Return what finds the policy of an earlier signal, by its key, among the files that may have been in use."""
    known = (settings.model_path, settings.shadow_model_path, shipped_models())
    paths = [path for path in known if path is not None and path != PLACEHOLDER_PATH]

    def find(key: str) -> Policy | None:
        if key == PlaceholderPolicy.description.key:
            return PlaceholderPolicy()
        return load_with_key(paths, key, own)

    return find


def _shadow_source(settings: Settings, own: PythonFeatures | None) -> ModelSource | None:
    path = settings.shadow_model_path
    return None if path is None else model_source(path, "SHADOW_MODEL_PATH", own)
