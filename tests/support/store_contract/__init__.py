"""The contract of the store port: classes of tests that run on every store.

A test module derives from them and gives the fixtures `store` and `another_store`, the store of a second server on the
same data. What only a database can refuse or lose is tested beside them, on PostgreSQL: values outside a column's type,
text that cannot be stored, triggers, leases, outages.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in ("writing", "reading", "lists", "policies", "log", "inputs", "keys", "ledger")
    )
)
