"""Files of certificates and keys are checked before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.certificates import OPENSSL, Certificate, Inner

from tradingsignals_server.bootstrap.identity_files import require_identity_files
from tradingsignals_server.config.settings import InvalidSettings, Settings
from tradingsignals_server.transport.certificates import CertificateRefused

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


@pytest.mark.parametrize("left_out", ["grpc_tls_cert", "grpc_tls_key", "grpc_tls_ca"])
def test_files_of_the_ports_behind_the_edge_are_set_together(left_out: str) -> None:
    three = {"grpc_tls_cert": "a.pem", "grpc_tls_key": "a.key", "grpc_tls_ca": "ca.pem"}
    given = {name: value for name, value in three.items() if name != left_out}
    with pytest.raises(ValueError, match="GRPC_TLS_CERT, GRPC_TLS_KEY and GRPC_TLS_CA must be set together"):
        Settings(**given)  # type: ignore[arg-type]  # paths as texts


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")
def test_certificate_of_the_ports_behind_the_edge_is_one_of_a_server(tmp_path: Path) -> None:
    inner = Inner.make(tmp_path)

    def settings_with(certificate: Certificate) -> Settings:
        named = {name.lower(): value for name, value in inner.settings(certificate).items()}
        return Settings(**named)  # type: ignore[arg-type]  # paths as texts

    require_identity_files(settings_with(inner.server))
    with pytest.raises(CertificateRefused, match=r"^GRPC_TLS_CERT=.*Hostname mismatch"):
        require_identity_files(settings_with(inner.edge))
