"""The certificates of the ports behind the edge: what is refused, and what a change of the files does."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.certificates import OPENSSL, SERVER_NAME, Authority, Certificate, placed

from tradingsignals_server.transport.certificates import (
    CertificateRefused,
    Certificates,
    TlsFiles,
    load,
    public_expiry,
)

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")

OF_SERVER = f"DNS:{SERVER_NAME}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.certificate("server", OF_SERVER)


@pytest.fixture(scope="module")
def edge(authority: Authority) -> Certificate:
    return authority.certificate("edge", "DNS:edge")


def files(authority: Authority, certificate: Certificate) -> TlsFiles:
    return TlsFiles(certificate.path, certificate.key, authority.own.path, SERVER_NAME)


def refusal(files: TlsFiles, *, is_server: bool = True) -> str:
    with pytest.raises(CertificateRefused) as caught:
        load(files, is_server=is_server)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_read_is_what_peers_get_and_says_when_it_expires(authority: Authority, server: Certificate) -> None:
    identity = load(files(authority, server))
    assert identity.certificate == server.path.read_bytes()
    assert 0 < (identity.expires - datetime.now(UTC)).days < 2


def test_edge_needs_no_name_of_a_server(authority: Authority, edge: Certificate) -> None:
    assert load(files(authority, edge), is_server=False).key == edge.key.read_bytes()
    assert f"expect {SERVER_NAME} (GRPC_TLS_NAME)" in refusal(files(authority, edge))


@pytest.mark.parametrize(
    ("usage", "days", "why"),
    [
        ("serverAuth", 2, "is refused by servers that trust .*: unsuitable certificate purpose"),
        ("clientAuth", 2, "is refused by callers .*: unsuitable certificate purpose"),
        ("serverAuth,clientAuth", -1, "is refused by callers .*: certificate has expired"),
    ],
)
def test_certificate_that_peers_would_refuse_is_refused(authority: Authority, usage: str, days: int, why: str) -> None:
    certificate = authority.certificate("refused", OF_SERVER, usage=usage, days=days)
    assert refusal(files(authority, certificate)).startswith(f"GRPC_TLS_CERT={certificate.path}: ")
    with pytest.raises(CertificateRefused, match=why):
        load(files(authority, certificate))


def test_certificate_for_both_ends_is_taken(authority: Authority) -> None:
    load(files(authority, authority.certificate("for-both", OF_SERVER, usage="serverAuth,clientAuth")))


def test_certificate_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.make(tmp_path).certificate("stranger", OF_SERVER)
    assert "unable to get local issuer certificate" in refusal(files(authority, stranger))
    assert "servers that trust" in refusal(files(authority, stranger), is_server=False)


def test_key_of_another_certificate_is_refused(authority: Authority, server: Certificate, edge: Certificate) -> None:
    message = refusal(files(authority, Certificate(server.path, edge.key)))
    assert message == f"GRPC_TLS_KEY={edge.key}: is not the key of GRPC_TLS_CERT={server.path}"


def test_file_that_is_missing_or_of_another_kind_is_named(
    authority: Authority, server: Certificate, tmp_path: Path
) -> None:
    absent, swapped = tmp_path / "absent.pem", Certificate(server.key, server.key)
    assert refusal(TlsFiles(server.path, server.key, absent, SERVER_NAME)).startswith(f"GRPC_TLS_CA={absent}: cannot")
    assert refusal(files(authority, swapped)) == f"GRPC_TLS_CERT={server.key}: has no CERTIFICATE (PEM)"
    empty = tmp_path / "empty.pem"
    empty.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert refusal(TlsFiles(server.path, server.key, empty, SERVER_NAME)) == (
        f"GRPC_TLS_CA={empty}: has no valid certificate (PEM)"
    )


def test_encrypted_key_is_refused_without_asking_for_its_password(
    authority: Authority, server: Certificate, tmp_path: Path
) -> None:
    encrypted = server.encrypted(tmp_path / "encrypted.key")
    assert refusal(files(authority, encrypted)).endswith("is encrypted: it must be readable without a password")


def test_new_files_are_taken_once_they_fit_each_other(
    authority: Authority, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    used = placed(authority.certificate("one", OF_SERVER), tmp_path)
    certificates = Certificates(files(authority, used))
    first = certificates.current
    certificates.refresh()
    assert certificates.current is first
    second = authority.certificate("two", OF_SERVER)
    with caplog.at_level(logging.INFO):
        used.key.write_bytes(second.key.read_bytes())
        certificates.refresh()
        certificates.refresh()
        assert certificates.current is first, "the certificate is still the former one"
        used.path.write_bytes(second.path.read_bytes())
        certificates.refresh()
    assert certificates.current.certificate == second.path.read_bytes()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "each change is logged once"


def test_expiry_of_the_public_certificate_is_read(authority: Authority, edge: Certificate) -> None:
    assert 0 < (public_expiry(edge.path, edge.key) - datetime.now(UTC)).days < 2
    expired = authority.certificate("expired", "DNS:localhost", days=-1)
    with pytest.raises(CertificateRefused, match=f"^TLS_CERT={expired.path}: certificate has expired"):
        public_expiry(expired.path, expired.key)
    with pytest.raises(CertificateRefused, match=r"^TLS_KEY=.*: is not the key of TLS_CERT="):
        public_expiry(expired.path, edge.key)
