"""What GetCaller reports of a caller."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tradingsignals.v1 import access_service_pb2 as pb
from tradingsignals.v1.access_pb2 import ApiKey
from tradingsignals_server.api.access.rules import method_rules
from tradingsignals_server.api.services.access import AccessServicer
from tradingsignals_server.application.access.authentication import Sent, everyone_is_admin
from tradingsignals_server.application.access.current import current_caller
from tradingsignals_server.domain.access import Caller, Credential, Role

ACTS = {
    "PositionService/ClosePosition": {Role.TRADER, Role.ADMIN},
    "AccountService/HaltTrading": {Role.TRADER, Role.ADMIN},
    "BacktestService/RunBacktest": {Role.TRADER, Role.ADMIN},
    "MarketDataService/PublishBars": {Role.PUBLISHER, Role.ADMIN},
    "ModelService/ReloadModel": {Role.ADMIN},
    "SignalService/ListSignals": set(Role),
}


async def reported(caller: Caller) -> pb.GetCallerResponse:
    unused: Any = None
    token = current_caller.set(caller)
    try:
        return await AccessServicer(unused, unused, unused, method_rules()).get_caller(pb.GetCallerRequest())
    finally:
        current_caller.reset(token)


@pytest.mark.parametrize("role", Role)
async def test_methods_are_those_of_the_role(role: Role) -> None:
    found = await reported(Caller(Credential.KEY, "id", "desk", role, "192.0.2.7"))
    may = set(found.caller.methods)
    for method, roles in ACTS.items():
        assert (f"tradingsignals.v1.{method}" in may) == (role in roles), method
    assert not any("peer" in method or "edge" in method for method in may)
    assert list(found.caller.methods) == sorted(may)


async def test_caller_is_reported_as_its_credentials_make_it_known() -> None:
    end = datetime(2030, 1, 2, tzinfo=UTC)
    found = await reported(Caller(Credential.TOKEN, "subject", "Ana", Role.VIEWER, "192.0.2.7", end))
    caller = found.caller
    assert (caller.credential, caller.caller_id, caller.name, caller.role) == ("token", "subject", "Ana", ApiKey.VIEWER)
    assert caller.expires_at.ToDatetime(tzinfo=UTC) == end
    assert found.authentication


async def test_without_authentication_a_caller_is_an_admin() -> None:
    found = await reported(everyone_is_admin(Sent(None, None, "127.0.0.1")))
    assert (found.caller.credential, found.caller.role, found.authentication) == ("none", ApiKey.ADMIN, False)
    assert not found.caller.HasField("expires_at")
    assert len(found.caller.methods) == len([path for path in method_rules() if "tradingsignals.v1." in path])
