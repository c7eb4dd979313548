"""The development PKI and the checks on any signing identity."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.unit.credentials.conftest import Authority

from countermark.credentials import DevelopmentPki, SigningIdentity, load_identity
from countermark.credentials.identity import CLAIM_SIGNING
from countermark.credentials.pem import parse_certificates
from countermark.errors import CredentialFailed, KeyUnavailable


def _ensure_name(folder: str) -> str:
    return DevelopmentPki.ensure(folder).anchors_pem


def test_every_name_warns_against_production(identity: SigningIdentity) -> None:
    certificates = parse_certificates(identity.chain_pem + identity.anchors_pem, "test")
    assert len(certificates) == 3
    assert all("not for production" in item.subject.rfc4514_string() for item in certificates)


def test_leaf_follows_the_claim_signing_profile(identity: SigningIdentity) -> None:
    leaf = identity.leaf
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=366)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    purposes = list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == [CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier


def test_a_second_start_loads_the_same_identity(pki_folder: Path) -> None:
    assert DevelopmentPki.ensure(pki_folder) == DevelopmentPki.ensure(pki_folder)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_keys_are_closed_to_others(pki_folder: Path) -> None:
    DevelopmentPki.ensure(pki_folder)
    assert {path.name for path in pki_folder.iterdir()} == {"root.pem", "issuing.pem", "signer.pem"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in pki_folder.iterdir())
    (pki_folder / "signer.pem").chmod(0o644)
    with pytest.raises(KeyUnavailable, match="open to other users") as caught:
        DevelopmentPki.ensure(pki_folder)
    assert "chmod 600" in caught.value.remedy


def test_the_root_key_is_never_written(pki_folder: Path, identity: SigningIdentity) -> None:
    DevelopmentPki.ensure(pki_folder)
    keys = sum(path.read_text().count("BEGIN PRIVATE KEY") for path in pki_folder.iterdir())
    assert keys == 2  # the issuing CA's and the signer's
    assert "PRIVATE KEY" not in (pki_folder / "root.pem").read_text()


def test_leaf_is_renewed_before_it_lapses_and_the_root_stays(pki_folder: Path) -> None:
    first = DevelopmentPki.ensure(pki_folder)
    later = datetime.now(UTC) + timedelta(days=340)
    second = DevelopmentPki.ensure(pki_folder, now=later)
    assert second.leaf.serial_number != first.leaf.serial_number
    assert second.not_after > first.not_after
    assert second.anchors_pem == first.anchors_pem


def test_processes_that_start_together_agree_on_one_root(pki_folder: Path) -> None:
    with get_context("spawn").Pool(3) as pool:
        roots = pool.map(_ensure_name, [str(pki_folder)] * 3)
    assert len(set(roots)) == 1


def test_damaged_authority_file_is_named(pki_folder: Path) -> None:
    DevelopmentPki.ensure(pki_folder)
    (pki_folder / "issuing.pem").write_text("nothing\n")
    with pytest.raises(KeyUnavailable, match=r"issuing\.pem"):
        DevelopmentPki.ensure(pki_folder)


def test_an_old_development_ca_says_how_to_replace_it(pki_folder: Path) -> None:
    DevelopmentPki.ensure(pki_folder)
    with pytest.raises(CredentialFailed, match="development CA expires") as caught:
        DevelopmentPki.ensure(pki_folder, now=datetime.now(UTC) + timedelta(days=3500))
    assert "Move the folder" in caught.value.remedy


def test_the_key_does_not_show_in_the_repr(identity: SigningIdentity) -> None:
    assert "PRIVATE" not in repr(identity)


def _write(folder: Path, identity: SigningIdentity) -> tuple[Path, Path]:
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_text(identity.chain_pem)
    key.write_text(identity.key_pem)
    key.chmod(0o600)
    return chain, key


def test_an_identity_loads_from_files(tmp_path: Path, authority) -> None:
    identity = authority.issue("Production")
    chain, key = _write(tmp_path, identity)
    (tmp_path / "root.pem").write_text(authority.pem)
    loaded = load_identity(chain, key, anchors=tmp_path / "root.pem")
    assert (loaded.name, loaded.alg, loaded.development) == ("Production", "es256", False)
    assert loaded.anchors_pem == authority.pem


def test_a_key_of_another_certificate_is_refused(tmp_path: Path, authority) -> None:
    mixed = replace(authority.issue(), key_pem=authority.issue().key_pem)
    with pytest.raises(CredentialFailed, match="does not belong") as caught:
        load_identity(*_write(tmp_path, mixed))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ends": timedelta(days=-0.5)}, "expired on"),
        ({"begins": timedelta(days=1)}, "valid only from"),
        ({"purposes": (ExtendedKeyUsageOID.TIME_STAMPING,)}, "does not name claim signing"),
        ({"purposes": (CLAIM_SIGNING, ExtendedKeyUsageOID.TIME_STAMPING)}, "does not name claim signing"),
        ({"digital_signature": False}, "lacks digitalSignature"),
    ],
)
def test_an_unfit_certificate_is_refused(authority, changes, message: str) -> None:
    with pytest.raises(CredentialFailed, match=message) as caught:
        authority.issue(**changes).check()
    assert caught.value.remedy


def test_a_lapsed_certificate_above_the_signers_is_refused_by_name() -> None:
    lapsed = Authority("Old CA", ends=timedelta(days=-1))
    identity = lapsed.issue()
    with pytest.raises(CredentialFailed, match="The certificate of CN=Old CA in the signing chain expired"):
        replace(identity, chain_pem=identity.chain_pem + lapsed.pem).check()


def test_a_broken_chain_is_refused(authority, identity: SigningIdentity) -> None:
    stranger = identity.chain_pem
    with pytest.raises(CredentialFailed, match="chain is broken"):
        replace(authority.issue(), chain_pem=authority.issue().chain_pem + stranger).check()


def test_missing_and_encrypted_files_are_typed_errors(tmp_path: Path, authority) -> None:
    chain, key = _write(tmp_path, authority.issue())
    with pytest.raises(KeyUnavailable, match="does not exist"):
        load_identity(tmp_path / "nothing.pem", key)
    key.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyUnavailable, match="not a PEM"):
        load_identity(chain, key)


def test_certificates_may_stand_among_comments_in_any_letters(tmp_path: Path) -> None:
    identity = DevelopmentPki.ensure(tmp_path / "pki")
    (tmp_path / "chain.pem").write_bytes(
        b"\xef\xbb\xbf# F\xc5\x91tan\xc3\xbas\xc3\xadtv\xc3\xa1ny\r\n" + identity.chain_pem.encode()
    )
    key = tmp_path / "key.pem"
    key.write_text(identity.key_pem)
    key.chmod(0o600)
    assert load_identity(tmp_path / "chain.pem", key).chain_pem == identity.chain_pem


def test_a_key_given_as_anchor_is_refused_and_not_kept(tmp_path: Path) -> None:
    identity = DevelopmentPki.ensure(tmp_path / "pki")
    (tmp_path / "chain.pem").write_text(identity.chain_pem)
    key = tmp_path / "key.pem"
    key.write_text(identity.key_pem)
    key.chmod(0o600)
    with pytest.raises(KeyUnavailable, match="no certificate"):
        load_identity(tmp_path / "chain.pem", key, anchors=key)
    both = tmp_path / "both.pem"
    both.write_text(identity.anchors_pem + identity.key_pem)
    assert "PRIVATE" not in repr(load_identity(tmp_path / "chain.pem", key, anchors=both))
