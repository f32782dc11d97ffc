"""From what a caller has sent to who it is."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...domain.access import Caller, Credential, Role, RolesByName, is_api_key
from ...domain.access_errors import NetworkNotAllowed, Unauthenticated
from ..ports.clock import Clock
from .keys import KeyRing

_BEARER = "bearer "
NO_ROLES = RolesByName(())
_SUBJECT_CHARACTERS = 200
"""Of the subject of a token or certificate, as an id."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent with a call: the values of its headers, and what the edge says of it.

    token_claims: of the token in `authorization`, if the edge has verified it: its payload in base64url.
    certificate_names: of the client certificate that the edge has verified, separated by commas.
    """

    authorization: str | None
    api_key: str | None
    address: str
    token_claims: str | None = None
    certificate_names: str | None = None

    @property
    def secret(self) -> str | None:
        """The API key or the token; None if there is none.

        Raises:
            Unauthenticated: the header `authorization` has another form.
        """
        if self.authorization is None:
            return self.api_key
        if self.authorization[: len(_BEARER)].lower() != _BEARER:
            raise Unauthenticated("malformed", "the header authorization is not: Bearer, and an API key or a token")
        return self.authorization[len(_BEARER) :].strip()


Authenticate = Callable[[Sent], Caller]
"""Returns the caller, whose role is None if it sent no credentials. Raises Unauthenticated or NotAllowed."""


def everyone_is_admin(sent: Sent) -> Caller:
    """Require no credentials: every caller may do everything."""
    return Caller(role=Role.ADMIN, address=sent.address)


class Authenticator:
    """Accepts API keys, and tokens and client certificates that the edge has verified."""

    def __init__(
        self,
        keys: KeyRing,
        clock: Clock,
        role_claim: str = "role",
        certificate_roles: RolesByName = NO_ROLES,
    ) -> None:
        """Args:
        keys: the API keys.
        clock: the time.
        role_claim: the claim of a token that names its role.
        certificate_roles: roles by the names of certificates.
        """
        self._keys = keys
        self._clock = clock
        self._role_claim = role_claim
        self._certificate_roles = certificate_roles

    def authenticate(self, sent: Sent) -> Caller:
        """See Authenticate."""
        secret = sent.secret
        if secret is None:
            return self._by_certificate(sent)
        if not is_api_key(secret):
            return self._by_token(sent)
        key = self._keys.find(secret)
        if not key.is_accepted_from(sent.address):
            raise NetworkNotAllowed(sent.address)
        return Caller(Credential.KEY, key.id, key.name, key.role, sent.address, key.expires_at)

    def lost_by(self, caller: Caller) -> Exception | None:
        """Return the error of a caller whose credentials are not accepted any more; None for any other."""
        if caller.credential is Credential.KEY:
            return self._keys.invalid(caller.id)
        if caller.expires_at is not None and caller.expires_at <= self._clock():
            return Unauthenticated("expired", "the token has expired")
        return None

    def _by_token(self, sent: Sent) -> Caller:
        if sent.token_claims is None:
            raise Unauthenticated(
                "unknown", "the credentials are neither an API key nor a token that is valid and accepted here"
            )
        claims = _claims(sent.token_claims)
        expires_at = datetime.fromtimestamp(float(claims["exp"]), UTC)
        if expires_at <= self._clock():
            raise Unauthenticated("expired", "the token has expired")
        role = str(claims.get(self._role_claim, "")).lower()
        return Caller(
            Credential.TOKEN,
            str(claims.get("sub", ""))[:_SUBJECT_CHARACTERS],
            str(claims.get("name", ""))[:_SUBJECT_CHARACTERS],
            Role(role) if role in set(Role) else None,
            sent.address,
            expires_at,
        )

    def _by_certificate(self, sent: Sent) -> Caller:
        names = [name for name in (sent.certificate_names or "").split(",") if name not in {"", "-"}]
        if not names:
            return Caller(address=sent.address)
        name, role = self._certificate_roles.of(names) or (names[0], None)
        return Caller(Credential.CERTIFICATE, name[:_SUBJECT_CHARACTERS], "", role, sent.address)


def _claims(payload: str) -> Mapping[str, Any]:
    """Return the claims of a token that the edge has verified.

    Raises:
        Unauthenticated: they are not a JSON object with an end.
    """
    try:
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if isinstance(claims, dict) and isinstance(claims.get("exp"), int | float):
            return claims
    except ValueError:
        pass
    raise Unauthenticated("malformed", "the token has no claims that can be read, or does not expire")
