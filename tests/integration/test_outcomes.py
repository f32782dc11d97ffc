"""The contract of the outcome store on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.support.store_contract.ledger import LedgerContract, LedgerStores, expected

from tradingsignals_server.adapters.postgres.connection import Connections
from tradingsignals_server.adapters.postgres.outcomes import PostgresOutcomes
from tradingsignals_server.adapters.postgres.store import PostgresStore
from tradingsignals_server.api.mapping.log_encoding import encode
from tradingsignals_server.api.mapping.log_messages import LOG_DECODERS

__all__ = ["expected"]


@pytest.fixture
def ledger_stores(store: PostgresStore, pool: Connections) -> LedgerStores:
    return LedgerStores(store, PostgresOutcomes(pool, encode, LOG_DECODERS))


class TestLedger(LedgerContract): ...
