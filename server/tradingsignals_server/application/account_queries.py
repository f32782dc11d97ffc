"""Read-only queries of callers about the account."""

from __future__ import annotations

from ..domain.account_errors import AccountNotReady
from .paging import page_start_time, page_token
from .ports.account import AccountStore, EquityPage, EquityQuery
from .ports.outcomes import StoredAccount


class AccountQueries:
    """The account, and its equity in pages."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    async def account(self) -> StoredAccount:
        """Return the account as of the newest entry that it has been followed through.

        Raises:
            AccountNotReady: nothing has followed the log yet.
        """
        found = await self._store.read_account()
        if found is None:
            raise AccountNotReady
        return found

    async def equity(self, query: EquityQuery, token: str, limit: int) -> tuple[EquityPage, str]:
        """Return a page of equity, newest first, and the token of the next page, "" for the last page.

        Raises:
            InvalidPageToken: the token belongs to another query.
        """
        scope = f"equity|{query}"
        page = await self._store.list_equity(query, page_start_time(token, scope), limit)
        before = None if page.next_before is None else int(page.next_before.timestamp())
        return page, page_token(before, scope)
