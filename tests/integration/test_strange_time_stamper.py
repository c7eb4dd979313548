"""A time-stamping authority that anybody can make, called as our own anchors are called in the C2PA library's words."""

from __future__ import annotations

import io
import time
from datetime import timedelta
from pathlib import Path

import c2pa
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from PIL import Image
from tests.time_stamping import needs_openssl, time_stamping
from tests.unit.credentials.conftest import Authority

from countermark.credentials import Anchors, read
from countermark.credentials.engine import signing_context
from countermark.credentials.trust import TSA_ANCHORS


@needs_openssl
@pytest.mark.parametrize("name", [TSA_ANCHORS, f"T, trust list: {TSA_ANCHORS}"])
def test_no_name_of_an_authority_revives_a_lapsed_key(tmp_path: Path, name: str) -> None:
    root, stranger = Authority("Studio Root"), Authority("Stranger")
    lapsing = root.issue("Lost Key", ends=timedelta(seconds=4))
    ends = time.monotonic() + 5
    picture, signed = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (64, 64)).save(picture, "PNG")
    said = {"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.created"}]}}
    made = {"claim_version": 1, "claim_generator_info": [{"name": "x", "version": "1"}], "assertions": [said]}
    with time_stamping(stranger.issue(name, (ExtendedKeyUsageOID.TIME_STAMPING,)), tmp_path) as (url, _):
        info = c2pa.C2paSignerInfo("es256", lapsing.chain_pem.encode(), lapsing.key_pem.encode(), url.encode())
        builder = c2pa.Builder(made, context=signing_context(Anchors()))
        builder.sign(c2pa.Signer.from_info(info), "image/png", picture, signed)
    time.sleep(max(0.0, ends - time.monotonic()))
    manifest = read(signed.getvalue(), "image/png", anchors=Anchors(manifest_pem=root.pem))
    assert (manifest.state, manifest.codes) == ("valid", ("signingCredential.expired",))
    assert not manifest.time_certified
