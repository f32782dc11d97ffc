"""Addresses of databases are shown without their secrets."""

from __future__ import annotations

import pytest

from tradingsignals_server.adapters.postgres.place import place_of, without_secrets

SECRETS = ("secret1", "secret2", "secret3", "secret4")
URLS = {
    "postgresql://u:secret1@h:1/db": "h:1",
    "postgresql://u:secret1@h1:1,v:secret2@h2:2/db?sslmode=require&sslpassword=secret3": "h1:1,h2:2",
    "postgresql://u:secret1:secret2@h/db?password=secret3&passfile=secret4": "h:5432",
    "postgresql://u:secret1@/db?host=%2Frun%2Fpostgres&port=5433": "/run/postgres",
    "postgresql://h1,h2:3/db?options=-csecret1": "h1:5432,h2:3",
    "postgresql://u:secret1@[::1]:7/db": "[::1]:7",
    "no URL with secret1": "an address that cannot be read",
}


@pytest.mark.parametrize(("url", "place"), URLS.items())
def test_secrets_of_an_address_are_hidden(url: str, place: str) -> None:
    assert place_of(url) == place
    shown = without_secrets(url)
    assert not any(secret in shown + place_of(url) for secret in SECRETS)


def test_parameters_without_secrets_are_shown() -> None:
    url = "postgresql://u:p@h:1/db?sslmode=require"
    assert without_secrets(url) == "postgresql://u:**********@h:1/db?sslmode=require"
