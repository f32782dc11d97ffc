"""Keeping the policies current: a newer file is noticed, checked, and swapped in between two bars."""

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

LOOK_SECONDS = 2.0
"""Between two looks at the files. A look costs two file names and dates; mounted volumes tell of no changes."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a policy comes from.

    fingerprint: tells, without loading, whether there may be something new: the newest file's name, date and size.
    load: reads and checks the policy; raises ModelNotLoaded, in one line, if it will not serve. Runs in a thread.
    versions: those that stand side by side there, the oldest first.
    """

    fingerprint: Callable[[], object]
    load: Callable[[], Policy]
    versions: Callable[[], Sequence[str]]


class ModelKeeper:
    """Looks after the live policy and the shadow. Run `run` in a task."""

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
        self._seen = self._fingerprints()

    async def run(self) -> None:
        """Look for newer files for ever. One that is refused is told of once, and looked at again when it changes."""
        while True:
            await self._sleep(LOOK_SECONDS)
            now = await asyncio.to_thread(self._fingerprints)
            if now == self._seen:
                continue
            try:
                await self.reload()
            except ModelNotLoaded as error:
                log.error("a new model is refused, the one before serves on: %s", error.message)
            except ServiceError as error:
                log.warning("a new model could not be swapped in yet: %s", error.message)
                continue
            except Exception:
                log.exception("a new model could not be read, the one before serves on")
            self._seen = now

    async def reload(self) -> bool:
        """Load what the files hold now, and swap it in if it is another; True if it was.

        Raises:
            ModelNotLoaded: a file will not serve, and the policy before it serves on. The other one, if it is new and
                serves, was swapped in all the same.
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
                watched = "" if shadow is None else f", {shadow.policy.description.version} is watched beside it"
                log.info("policy %s decides from now on%s", live.policy.description.version, watched)
        if refused:
            raise refused[0]
        return changed

    def versions(self) -> Sequence[str]:
        """Versions that stand side by side where the live policy comes from."""
        return self._live.versions()

    async def _newer(self, trader: Trader, source: ModelSource, refused: list[ModelNotLoaded]) -> Trader:
        """A trader with the policy that the file holds now; the same one if the file does, or will not serve."""
        try:
            policy = await asyncio.to_thread(source.load)
        except ModelNotLoaded as error:
            refused.append(error)
            return trader
        return trader if policy.description.key == trader.policy.description.key else Trader(policy, self._rules)

    def _fingerprints(self) -> tuple[object, object]:
        return self._live.fingerprint(), None if self._shadow is None else self._shadow.fingerprint()
