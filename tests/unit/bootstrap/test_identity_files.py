"""Files of certificates and keys are checked before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradingsignals_server.bootstrap.identity_files import require_identity_files
from tradingsignals_server.config import InvalidSettings, Settings

PEM = "-----BEGIN CERTIFICATE-----\n"
TOKENS = {"auth": "on", "jwt_issuer": "a", "jwt_audience": "b"}


def settings_of(folder: Path, pem: str = PEM, jwks: str = '{"keys": [{"kty": "EC"}]}') -> Settings:
    for name, text in (("cert.pem", pem), ("key.pem", PEM), ("jwks.json", jwks)):
        (folder / name).write_text(text)
    files = {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem", "jwt_jwks": str(folder / "jwks.json")}
    return Settings(**TOKENS, **files)  # type: ignore[arg-type]  # each has the type of its setting


def test_files_that_are_what_they_must_be_are_accepted(tmp_path: Path) -> None:
    require_identity_files(settings_of(tmp_path))
    require_identity_files(Settings())


def test_file_that_is_not_there_is_refused_with_the_setting(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "key.pem").unlink()
    with pytest.raises(InvalidSettings, match=r"^TLS_KEY=.*key\.pem: cannot be read: No such file"):
        require_identity_files(settings)


def test_certificate_that_is_not_pem_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^TLS_CERT=.*: is not PEM"):
        require_identity_files(settings_of(tmp_path, pem="0\x82"))


@pytest.mark.parametrize(
    ("jwks", "message"),
    [
        ("no JSON", "is not a JWKS"),
        ("[]", "is not a JWKS"),
        ('{"keys": [{}]}', "is not a JWKS"),
        ('{"keys": []}', "must have public keys only"),
        ('{"keys": [{"kty": "RSA"}, {"kty": "oct", "k": "c2VjcmV0"}]}', "must have public keys only"),
    ],
)
def test_keys_of_tokens_that_are_not_public_are_refused(tmp_path: Path, jwks: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^JWT_JWKS=.*{message}") as caught:
        require_identity_files(settings_of(tmp_path, jwks=jwks))
    assert "c2VjcmV0" not in str(caught.value)
