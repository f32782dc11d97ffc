"""Reload of policies: a new file is swapped in between two bars, a refused one changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.support.builders import SURE, walk
from tests.support.running import Running, ScriptedPolicy, commit_held_up, running_engine, started

from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.application.models import ModelKeeper, ModelSource
from tradingsignals_server.application.ports.policy import Policy
from tradingsignals_server.domain.errors import ModelNotLoaded, ShuttingDown
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

WALK = walk(180)


def version(name: str) -> ScriptedPolicy:
    return ScriptedPolicy(lambda _: SURE[Action.HOLD], name)


@dataclass
class Shelf:
    """A source of policies without files, which counts its loads."""

    holds: Policy | Exception
    changes: int = 0
    loaded: int = 0
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, held: Policy | Exception) -> None:
        """Replace the file."""
        self.holds = held
        self.changes += 1

    def source(self) -> ModelSource:
        return ModelSource(lambda: self.changes, self._load, lambda: ("a", "b"))

    def _load(self) -> Policy:
        self.loaded += 1
        if isinstance(self.holds, Exception):
            raise self.holds
        return self.holds


class Looks:
    """Replaces asyncio.sleep: `now` lets the keeper check once, and returns after the check."""

    def __init__(self) -> None:
        self._go, self._asleep = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: float) -> None:
        self._asleep.set()
        await self._go.wait()
        self._go.clear()

    async def now(self) -> None:
        await self._asleep.wait()
        self._asleep.clear()
        self._go.set()
        await self._asleep.wait()


@asynccontextmanager
async def kept(
    running: Running, live: Shelf, shadow: Shelf | None = None
) -> AsyncIterator[tuple[ModelKeeper, Callable[[], Awaitable[None]]]]:
    """Run a keeper on a running engine; yield it and a function that makes it check."""
    looks = Looks()
    watched = None if shadow is None else shadow.source()
    keeper = ModelKeeper(running.engine, running.pipeline, RiskRules(), live.source(), watched, looks)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper, looks.now
    finally:
        task.cancel()
        await asyncio.wait([task])


def decided_by(running: Running) -> list[str]:
    return [signal.model_version for signal in running.store.signals()]


async def test_newer_file_decides_from_the_next_bar_on() -> None:
    shelf = Shelf(first := version("1"))
    async with running_engine(policy=first) as running, kept(running, shelf) as (_, look):
        await running.publish(WALK[:52])
        shelf.put(version("2"))
        await running.publish(WALK[52:53])
        await look()
        await running.publish(WALK[53:55])
        assert decided_by(running) == ["1"] * 4 + ["2"] * 2
        assert running.pipeline.live.meter.count == 2, "counted anew"


async def test_unchanged_file_is_not_read() -> None:
    shelf = Shelf(first := version("1"))
    async with running_engine(policy=first) as running, kept(running, shelf) as (_, look):
        for _ in range(3):
            await look()
        assert shelf.loaded == 0


async def test_same_model_again_is_not_swapped() -> None:
    shelf = Shelf(first := version("1"))
    async with running_engine(policy=first) as running, kept(running, shelf) as (keeper, look):
        before = running.pipeline.live
        shelf.put(version("1"))
        await look()
        assert not await keeper.reload()
        assert running.pipeline.live is before


@pytest.mark.parametrize("trouble", [ModelNotLoaded("m.onnx: is cut short"), RuntimeError("a defect")])
async def test_refused_file_is_logged_once_and_the_old_one_stays_in_use(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(first := version("1"))
    async with running_engine(policy=first) as running, kept(running, shelf) as (_, look):
        shelf.put(trouble)
        with caplog.at_level(logging.ERROR):
            await look()
            await look()
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "stays in use" in caplog.text
        await running.publish(WALK[:51])
        assert decided_by(running) == ["1"] * 2
        shelf.put(version("3"))
        await look()
        await running.publish(WALK[51:52])
        assert decided_by(running)[-1] == "3"


async def test_failed_swap_is_retried() -> None:
    shelf = Shelf(first := version("1"))
    async with running_engine(policy=first) as running, kept(running, shelf) as (_, look):
        shelf.put(version("2"))
        swap = running.engine.swap

        async def refuse(live: Trader, shadow: Trader | None) -> None:
            raise ShuttingDown(0)

        running.engine.swap = refuse  # type: ignore[method-assign]
        await look()
        assert running.pipeline.live.policy is first
        running.engine.swap = swap  # type: ignore[method-assign]
        await look()
        assert running.pipeline.live.policy.description.version == "2"


async def test_reload_raises_the_reason_of_a_refusal() -> None:
    shelf = Shelf(first := version("1"))
    async with running_engine(policy=first) as running, kept(running, shelf) as (keeper, _):
        shelf.put(ModelNotLoaded("m.onnx: is cut short"))
        with pytest.raises(ModelNotLoaded, match="cut short"):
            await keeper.reload()
        shelf.put(version("2"))
        assert await keeper.reload()
        assert running.pipeline.live.policy.description.version == "2"
        assert keeper.versions() == ("a", "b")


async def test_queued_bars_are_decided_by_one_policy_and_none_is_lost() -> None:
    """Bars queued before the swap are decided by the old policy, later ones by the new one."""
    async with running_engine(policy=version("1")) as running:
        await running.publish(WALK[:50])
        async with commit_held_up(running, WALK[50]) as held:
            before, swapped, after = await started(
                running.publish(WALK[51:60]),
                running.engine.swap(Trader(version("2"), RiskRules()), None),
                running.publish(WALK[60:70]),
            )
        await asyncio.gather(held, before, swapped, after)
        assert decided_by(running) == ["1"] * 11 + ["2"] * 10


async def test_refused_shadow_does_not_block_the_live_policy() -> None:
    live, shadow = Shelf(first := version("1")), Shelf(watched := version("s1"))
    async with running_engine(policy=first, shadow=watched) as running, kept(running, live, shadow) as (keeper, _):
        live.put(version("2"))
        shadow.put(ModelNotLoaded("s.onnx: is cut short"))
        with pytest.raises(ModelNotLoaded):
            await keeper.reload()
        assert running.pipeline.live.policy.description.version == "2"
        assert running.pipeline.shadow is not None
        assert running.pipeline.shadow.policy is watched


async def test_shadow_is_swapped_too() -> None:
    live, shadow = Shelf(first := version("1")), Shelf(watched := version("s1"))
    async with running_engine(policy=first, shadow=watched) as running, kept(running, live, shadow) as (_, look):
        await running.publish(WALK[:51])
        shadow.put(version("s2"))
        await look()
        await running.publish(WALK[51:53])
        assert decided_by(running) == ["1"] * 4
        assert [one.policy for one in running.store.shadow_events] == ["s1@"] * 2 + ["s2@"] * 2
