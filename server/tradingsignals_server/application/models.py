"""Reload of policies: a newer model file is detected, checked, and swapped in between two bars."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..domain.errors import ModelNotLoaded, ServiceError
from ..domain.risk import RiskRules
from .decision.pipeline import Pipeline
from .decision.trader import Trader
from .ingest.engine import Engine
from .ports.clock import Sleep
from .ports.policy import Policy

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 2.0
"""Interval of the checks for new files. It polls, because mounted volumes send no notifications."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The source of a policy.

    fingerprint: returns a value that changes with the newest file, without loading it: its path, time and size.
    load: reads and checks the policy; raises ModelNotLoaded, with one line, if it is refused. Runs in a thread.
    versions: returns the available versions, the oldest first.
    """

    fingerprint: Callable[[], object]
    load: Callable[[], Policy]
    versions: Callable[[], Sequence[str]]


class ModelKeeper:
    """Reloads the live policy and the shadow policy. Run `run` in a task."""

    def __init__(
        self,
        engine: Engine,
        pipeline: Pipeline,
        rules: RiskRules,
        live: ModelSource,
        shadow: ModelSource | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._pipeline = pipeline
        self._rules = rules
        self._live = live
        self._shadow = shadow
        self._sleep = sleep
        self._one_at_a_time = asyncio.Lock()
        self._loaded_fingerprints = self._fingerprints()

    async def run(self) -> None:
        """Check for newer files until cancelled. A refused file is logged once, and tried again when it changes."""
        while True:
            await self._sleep(POLL_INTERVAL_S)
            now = await asyncio.to_thread(self._fingerprints)
            if now == self._loaded_fingerprints:
                continue
            try:
                await self.reload()
            except ModelNotLoaded as error:
                log.error("a new model is refused, the previous one stays in use: %s", error.message)
            except ServiceError as error:
                log.warning("a new model could not be swapped in yet: %s", error.message)
                continue
            except Exception:
                log.exception("a new model could not be read, the previous one stays in use")
            self._loaded_fingerprints = now

    async def reload(self) -> bool:
        """Load the present files and swap in those that have changed; return whether any has.

        Raises:
            ModelNotLoaded: a file is refused, and its previous policy stays in use. A valid change of the other policy
                is swapped in nevertheless.
        """
        async with self._one_at_a_time:
            refused: list[ModelNotLoaded] = []
            live = await self._newer(self._pipeline.live, self._live, refused)
            shadow = self._pipeline.shadow
            if shadow is not None and self._shadow is not None:
                shadow = await self._newer(shadow, self._shadow, refused)
            changed = live is not self._pipeline.live or shadow is not self._pipeline.shadow
            if changed:
                await self._engine.swap(live, shadow)
                beside = "" if shadow is None else f", with {shadow.policy.description.version} as shadow"
                log.info("policy %s is in use from now on%s", live.policy.description.version, beside)
        if refused:
            raise refused[0]
        return changed

    def versions(self) -> Sequence[str]:
        """Return the available versions of the live policy."""
        return self._live.versions()

    async def _newer(self, trader: Trader, source: ModelSource, refused: list[ModelNotLoaded]) -> Trader:
        """Return a trader with the present policy of the file; `trader` if it is unchanged or refused."""
        try:
            policy = await asyncio.to_thread(source.load)
        except ModelNotLoaded as error:
            refused.append(error)
            return trader
        return trader if policy.description.key == trader.policy.description.key else Trader(policy, self._rules)

    def _fingerprints(self) -> tuple[object, object]:
        return self._live.fingerprint(), None if self._shadow is None else self._shadow.fingerprint()
