"""Roles, rules, and API keys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_keys import NOW, new_key

from tradingsignals_server.domain.access import (
    ID_BYTES,
    SECRET_BYTES,
    Caller,
    Credential,
    Role,
    Rule,
    api_key_text,
    parse_networks,
    split_api_key,
)
from tradingsignals_server.domain.access_errors import InvalidKey

MAY = {
    Role.VIEWER: {Rule.PUBLIC, Rule.VIEWER},
    Role.PUBLISHER: {Rule.PUBLIC, Rule.VIEWER, Rule.PUBLISHER},
    Role.TRADER: {Rule.PUBLIC, Rule.VIEWER, Rule.TRADER},
    Role.ADMIN: {Rule.PUBLIC, Rule.VIEWER, Rule.PUBLISHER, Rule.TRADER, Rule.ADMIN},
    None: {Rule.PUBLIC},
}


@pytest.mark.parametrize("role", list(MAY))
def test_role_includes_exactly_its_rules(role: Role | None) -> None:
    assert {rule for rule in Rule if Caller(role=role).may(rule)} == MAY[role]


@given(st.binary(min_size=ID_BYTES + SECRET_BYTES, max_size=ID_BYTES + SECRET_BYTES))
def test_text_of_a_key_is_split_into_its_id_and_secret(random_bytes: bytes) -> None:
    text = api_key_text(random_bytes)
    key_id, secret = split_api_key(text)
    assert text == f"tss_{key_id}_{secret}"
    assert "_" not in key_id


def test_key_is_made_of_enough_random_bytes() -> None:
    with pytest.raises(ValueError, match="40 random bytes"):
        api_key_text(bytes(39))


@pytest.mark.parametrize("text", ["", "tss_", "tss_a_b", "TSS_" + "a" * 13 + "_" + "b" * 43, "tss_" + "a" * 57, "é"])
def test_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        split_api_key(text)
    assert dict(caught.value.metadata) == {"cause": "malformed"}


@pytest.mark.parametrize(
    ("lifetime", "revoked", "cause"),
    [
        (None, False, None),
        (timedelta(seconds=1), False, None),
        (timedelta(0), False, "expired"),
        (None, True, "revoked"),
        (timedelta(0), True, "revoked"),
    ],
)
def test_key_is_valid_until_it_expires_or_is_revoked(
    lifetime: timedelta | None, revoked: bool, cause: str | None
) -> None:
    key, _ = new_key(lifetime=lifetime, revoked=revoked)
    error = key.invalid(NOW)
    assert (error and dict(error.metadata)) == (cause and {"cause": cause, "key_id": key.id})


def test_key_has_one_secret() -> None:
    key, text = new_key()
    secret = split_api_key(text)[1]
    assert key.has_secret(secret)
    assert not key.has_secret(secret[:-1] + "-")
    assert not key.has_secret("")
    assert secret not in repr(key)


@pytest.mark.parametrize(
    ("networks", "address", "accepted"),
    [
        ((), "203.0.113.9", True),
        ((), "", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("::ffff:10.0.0.0/104",), "10.1.2.3", True),
        (("::ffff:10.1.2.3",), "::ffff:10.1.2.3", True),
        (("::ffff:10.0.0.0/104",), "11.1.2.3", False),
        (("::/0",), "10.1.2.3", False),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8", "192.0.2.7"), "192.0.2.7", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "10.0.0.1", False),
        (("0.0.0.0/0",), "", False),
        (("0.0.0.0/0",), "10.0.0.1, 10.0.0.2", False),
    ],
)
def test_key_is_accepted_from_its_networks(networks: tuple[str, ...], address: str, accepted: bool) -> None:
    key, _ = new_key(networks=networks)
    assert key.is_accepted_from(address) is accepted


@pytest.mark.parametrize("text", ["10.0.0.1/8", "everywhere", "", "10.0.0.0/33"])
def test_malformed_network_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=f'"{text}" is not a network'):
        parse_networks(["10.0.0.0/8", text])


def test_callers_of_one_identity_share_limits_and_anonymous_ones_those_of_their_address() -> None:
    assert Caller(address="192.0.2.1").group == "none:192.0.2.1"
    key = [Caller(Credential.KEY, "k", "name", Role.VIEWER, address) for address in ("192.0.2.1", "192.0.2.2")]
    assert key[0].group == key[1].group == "key:k"
