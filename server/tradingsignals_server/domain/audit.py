"""Entries of the audit log: what callers did, and what they were refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from .access import Caller

REQUEST_CHARACTERS: Final = 1_000
"""Of the request in an entry."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry. Its texts are empty where they are not known.

    time: when the call ended, or the first of `count` calls. method: "package.Service/Method", of the public contract.
    request: the request as JSON, cut to REQUEST_CHARACTERS. result: name of the gRPC code. reason: that of an error.
    entry_id: its position in the log; 0 before it is stored. replayed: the call did nothing, since it was repeated with
    its idempotency key.
    """

    time: datetime
    caller: Caller
    method: str
    result: str
    reason: str = ""
    request: str = ""
    request_id: str = ""
    count: int = 1
    entry_id: int = 0
    replayed: bool = False

    def and_another(self) -> AuditEntry:
        """Return the entry for one more call of the same kind."""
        return replace(self, count=self.count + 1, request="", request_id="")
