"""Who signs, as given to a Countermark or named in its settings: a key held elsewhere, and time-stamps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from numpy import uint8
from numpy.typing import NDArray
from tests.time_stamping import needs_openssl, time_stamping
from tests.unit.credentials.conftest import Authority

from countermark import Countermark
from countermark.credentials import Anchors
from countermark.errors import CredentialFailed, SettingsInvalid
from countermark.model import Verdict
from countermark.settings import CredentialSettings, Settings, load_settings
from countermark.verification import Trust

Build = Callable[..., Countermark]


class HeldKey:
    """Signs as a KMS would: the program never sees the key."""

    def __init__(self, key_pem: str) -> None:
        self._key = load_pem_private_key(key_pem.encode(), None)
        self.calls = 0

    def sign(self, data: bytes) -> bytes:
        self.calls += 1
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


def test_a_key_held_elsewhere_signs_what_is_released(build: Build, photo: NDArray[uint8]) -> None:
    issued = Authority().issue("Studio Signer")
    held = HeldKey(issued.key_pem)
    cm = build(identity=replace(issued, key_pem="", signer=held))
    result = cm.mark(photo, model="some/model")
    assert held.calls == 1
    report = cm.verify(result.data)
    assert report.verdict is Verdict.VERIFIED
    assert (report.evidence.manifest.signer, report.evidence.manifest.development) == ("Studio Signer", False)
    assert not cm.home.certificates.exists(), "no development certificate was made beside it"


@needs_openssl
def test_releases_are_time_stamped_where_settings_name_an_authority(
    build: Build, settings: Settings, photo: NDArray[uint8], tmp_path: Path
) -> None:
    root = Authority("Time Root")
    (tmp_path / "time.pem").write_text(root.pem)
    (tmp_path / "tsa").mkdir()
    stamper = root.issue("Time Stamper", (ExtendedKeyUsageOID.TIME_STAMPING,))
    with time_stamping(stamper, tmp_path / "tsa") as (url, asked):
        chosen = CredentialSettings(timestamp_url=url, timestamp_anchors=tmp_path / "time.pem")
        cm = build(settings=settings.model_copy(update={"credentials": chosen}))
        result = cm.mark(photo, model="some/model")
    assert len(asked) == 1
    report = cm.verify(result.data)
    assert report.verdict is Verdict.VERIFIED
    assert report.evidence.manifest.time_certified


@needs_openssl
def test_a_root_that_certifies_signers_too_certifies_the_time(
    build: Build, photo: NDArray[uint8], tmp_path: Path
) -> None:
    root = Authority("One Root")
    (tmp_path / "root.pem").write_text(root.pem)
    (tmp_path / "tsa").mkdir()
    stamper = root.issue("Time Stamper", (ExtendedKeyUsageOID.TIME_STAMPING,))
    anchors = Anchors.load(tsa=[tmp_path / "root.pem"])
    with time_stamping(stamper, tmp_path / "tsa") as (url, _):
        cm = build(identity=replace(root.issue("Studio Signer"), timestamp_url=url))
        data = cm.mark(photo, model="some/model").data
    assert not cm.verify(data).evidence.manifest.time_certified, "its root is an anchor for claims only"
    told = {cm.verify(data, trust=Trust(anchors)).evidence.manifest.time_certified for _ in range(8)}
    assert told == {True}


def test_a_silent_authority_releases_nothing(build: Build, settings: Settings, photo: NDArray[uint8]) -> None:
    chosen = CredentialSettings(timestamp_url="http://127.0.0.1:9/tsa")
    cm = build(settings=settings.model_copy(update={"credentials": chosen}))
    with pytest.raises(CredentialFailed, match="time-stamping authority"):
        cm.mark(photo, model="some/model")
    assert cm.log.event(0).error == "credential_failed"


def test_the_address_of_an_authority_is_one() -> None:
    with pytest.raises(SettingsInvalid, match=r"credentials\.timestamp_url"):
        load_settings({"credentials.timestamp_url": "ftp://time.example"}, {})
