"""The contract of the store port on PostgreSQL. Its fixtures are in conftest.py."""

from __future__ import annotations

from tests.support.store_contract.inputs import InputsContract
from tests.support.store_contract.keys import KeysContract
from tests.support.store_contract.lists import ListContract, TotalsContract
from tests.support.store_contract.log import LogContract, RetentionContract, SequenceRangeContract
from tests.support.store_contract.policies import CheckpointContract, ShadowContract
from tests.support.store_contract.reading import ResumeContract
from tests.support.store_contract.writing import AtomicityContract, CommitContract, ConcurrencyContract


class TestCommit(CommitContract): ...


class TestAtomicity(AtomicityContract): ...


class TestConcurrency(ConcurrencyContract): ...


class TestResume(ResumeContract): ...


class TestInputs(InputsContract): ...


class TestKeys(KeysContract): ...


class TestLists(ListContract): ...


class TestTotals(TotalsContract): ...


class TestCheckpoints(CheckpointContract): ...


class TestShadows(ShadowContract): ...


class TestLog(LogContract): ...


class TestRetention(RetentionContract): ...


class TestSequenceRange(SequenceRangeContract): ...
