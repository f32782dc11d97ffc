"""A lease that ends while commands are processed: no state of the old lease is used under the new one."""

from __future__ import annotations

from uuid import UUID

from tests.support.builders import SURE, walk
from tests.support.running import (
    PausingStore,
    ScriptedPolicy,
    commit_held_up,
    dispositions,
    running_engine,
    started,
)

from tradingsignals_server.application.ingest.sole_ownership import SoleOwnership
from tradingsignals_server.domain.events import Disposition
from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.signals import Action, Probabilities

WALK = walk(80)
ACCEPTED = [Disposition.ACCEPTED]


class Leases(SoleOwnership):
    """Holds every symbol, under one lease after the other."""

    lease_id: UUID = UUID(int=1)  # type: ignore[assignment]  # None for a single server

    def renew(self) -> None:
        """End the lease and begin another."""
        self.lease_id = UUID(int=self.lease_id.int + 1)


async def test_commands_whose_lease_ends_while_states_are_read_are_refused() -> None:
    store, leases = PausingStore(), Leases()
    async with running_engine(store) as running:
        await running.publish(WALK[:60])
    async with running_engine(store, ownership=leases) as running:
        store.pauses = True
        (publishing,) = await started(running.engine.publish(WALK[60:62]))
        await store.paused.wait()
        leases.renew()
        store.resume.set()
        assert dispositions(await publishing) == ["OWNER_UNAVAILABLE"] * 2
        assert dispositions(await running.publish(WALK[60:62])) == ACCEPTED * 2


async def test_states_committed_under_a_lease_that_has_ended_are_not_kept() -> None:
    leases = Leases()
    async with running_engine(ownership=leases) as running:
        async with commit_held_up(running, WALK[0]) as first:
            leases.renew()
        assert dispositions(await first) == [Disposition.WARMING_UP]
        assert running.engine.states() == []


async def test_nothing_is_staged_on_a_commit_of_another_lease() -> None:
    observations: list[Observation] = []

    def record(observation: Observation) -> Probabilities:
        observations.append(observation)
        return SURE[Action.HOLD]

    leases = Leases()
    async with running_engine(policy=ScriptedPolicy(record), ownership=leases) as running:
        await running.publish(WALK[:60])
        observations.clear()
        async with commit_held_up(running, WALK[60]) as first:
            leases.renew()
            (behind,) = await started(running.publish(WALK[61:63]))
            assert len(observations) == 1
        assert dispositions(await first) == ACCEPTED
        assert dispositions(await behind) == ACCEPTED * 2
