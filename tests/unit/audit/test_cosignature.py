"""Cosignatures and the quorum: what counts as witnessed, and everything that must not."""

from __future__ import annotations

import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.unit.audit.witnessing import LOG, Story, key

from countermark.audit.checkpoint import open_checkpoint
from countermark.audit.note import MAX_SIGNATURES, NoteVerifier, parse_note, signature_line
from countermark.audit.witness import CosignatureSigner, CosignatureVerifier, WitnessPolicy, cosigned_by, witnessed
from countermark.audit.witness.policy import add_cosignatures
from countermark.errors import ProofInvalid, SettingsInvalid

TIME = 1_679_315_147
NOTE = Story.of(5).note()
TEXT = parse_note(NOTE).text
SIGNERS = [CosignatureSigner(f"witness.example/w{i}", key(f"w{i}")) for i in range(3)]
WITNESSES = [signer.verifier for signer in SIGNERS]


def cosigned(*signers: CosignatureSigner, time: int = TIME) -> str:
    return NOTE + "".join(signer.cosign(TEXT, time) for signer in signers)


def test_a_cosignature_is_laid_out_as_the_specification_says() -> None:
    line = SIGNERS[0].cosign(TEXT, TIME)
    dash, name, encoded = line.removesuffix("\n").split(" ")
    raw, public = base64.b64decode(encoded), WITNESSES[0].public_key
    assert (dash, name, len(raw)) == ("\u2014", "witness.example/w0", 4 + 8 + 64)
    assert raw[:4] == hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    assert raw[4:12] == struct.pack(">Q", TIME)
    message = f"cosignature/v1\ntime {TIME}\n{TEXT}".encode()
    Ed25519PublicKey.from_public_bytes(public).verify(raw[12:], message)  # raises where it does not fit
    assert cosigned_by(NOTE + line, WITNESSES) == {name: TIME}


def test_a_verifier_key_survives_its_text_form_and_is_not_mistaken_for_a_logs_key() -> None:
    vkey = WITNESSES[0].vkey
    assert CosignatureVerifier.parse(f" {vkey}\n") == WITNESSES[0]
    with pytest.raises(ProofInvalid, match="not an Ed25519 key"):
        NoteVerifier.parse(vkey)
    with pytest.raises(ProofInvalid, match="not a witness's key"):
        CosignatureVerifier.parse(LOG.verifier_key)
    with pytest.raises(ProofInvalid, match="its own id"):
        CosignatureVerifier.parse(vkey.replace("w0", "w9"))


def test_readers_who_know_no_witness_open_a_cosigned_checkpoint_as_before() -> None:
    assert open_checkpoint(cosigned(*SIGNERS), LOG.verifier_key).size == 5


@pytest.mark.parametrize(("count", "quorum"), [(0, 1), (1, 2), (2, 2), (2, 3), (3, 2), (3, 3)])
def test_a_checkpoint_is_witnessed_by_as_many_as_the_quorum_asks_for_or_by_nobody(count: int, quorum: int) -> None:
    names = tuple(witness.name for witness in WITNESSES[:count])
    assert witnessed(cosigned(*SIGNERS[:count]), WITNESSES, quorum) == (names if count >= quorum else ())


def test_one_witness_that_signs_often_is_one_witness() -> None:
    note = cosigned(SIGNERS[0]) + SIGNERS[0].cosign(TEXT, TIME + 1) + SIGNERS[0].cosign(TEXT, TIME)
    assert witnessed(note, WITNESSES, 2) == ()
    assert cosigned_by(note, WITNESSES) == {WITNESSES[0].name: TIME + 1}


def test_one_key_under_two_names_cannot_make_a_quorum() -> None:
    # The signed message does not name the witness, so the same signature would fit both names.
    twin = CosignatureVerifier("witness.example/twin", WITNESSES[0].public_key)
    with pytest.raises(SettingsInvalid, match="same key"):
        WitnessPolicy((WITNESSES[0], twin), 2)
    with pytest.raises(SettingsInvalid, match="same name"):
        WitnessPolicy((WITNESSES[0], CosignatureVerifier(WITNESSES[0].name, WITNESSES[1].public_key)), 1)
    with pytest.raises(SettingsInvalid, match="cannot be met"):
        WitnessPolicy(tuple(WITNESSES), 4)


def test_cosignatures_of_strangers_are_ignored_even_under_a_known_name() -> None:
    impostor = CosignatureSigner(WITNESSES[0].name, key("somebody else"))
    assert cosigned_by(cosigned(impostor, SIGNERS[1]), WITNESSES) == {WITNESSES[1].name: TIME}


def _altered(flip: int) -> str:
    line = parse_note(cosigned(SIGNERS[0])).signatures[-1]
    raw = bytearray(line.signature)
    raw[flip // 8] ^= 1 << flip % 8
    return NOTE + signature_line(line.name, line.key_id, bytes(raw))


@pytest.mark.parametrize("flip", [0, 7, 56, 63, 64, 300, 575])
def test_a_cosignature_with_an_altered_timestamp_or_signature_is_refused(flip: int) -> None:
    with pytest.raises(ProofInvalid, match="cosignature of the witness"):
        witnessed(_altered(flip), WITNESSES, 1)


def test_a_timestamp_beyond_the_specifications_bound_is_refused_although_its_signature_fits() -> None:
    with pytest.raises(ProofInvalid):
        cosigned_by(cosigned(SIGNERS[0], time=2**63), WITNESSES)
    assert cosigned_by(cosigned(SIGNERS[0], time=2**63 - 1), WITNESSES) == {WITNESSES[0].name: 2**63 - 1}


def test_a_cosignature_of_another_tree_does_not_fit() -> None:
    line = SIGNERS[0].cosign(parse_note(Story.of(5, forked_at=2).note()).text, TIME)
    with pytest.raises(ProofInvalid):
        witnessed(NOTE + line, WITNESSES, 1)


def test_a_logs_own_signature_under_the_witnesss_key_is_no_cosignature() -> None:
    # Domain separation: the same Ed25519 key, but a plain note signature (type 0x01).
    from countermark.audit.note import NoteSigner

    plain = NoteSigner("witness.example/w0", key("w0")).sign(TEXT).rpartition("\n\n")[2]
    assert cosigned_by(NOTE + plain, WITNESSES) == {}
    raw = base64.b64decode(plain.split(" ")[2])[4:]
    with pytest.raises(ProofInvalid):
        cosigned_by(NOTE + signature_line("witness.example/w0", WITNESSES[0].id, bytes(8) + raw), WITNESSES)


def test_spare_bits_of_base64_cannot_be_altered() -> None:
    # 76 bytes leave four spare bits in the last digit; another digit with the same six used bits decodes alike.
    line = SIGNERS[0].cosign(TEXT, TIME)
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = line.index("=") - 1
    twin = line[:at] + digits[digits.index(line[at]) ^ 1] + line[at + 1 :]
    assert base64.b64decode(twin.split(" ")[2]) == base64.b64decode(line.split(" ")[2])
    with pytest.raises(ProofInvalid, match="canonical"):
        cosigned_by(NOTE + twin, WITNESSES)


def test_a_note_holds_a_bounded_number_of_lines_and_at_least_the_sixteen_that_the_specification_asks_for() -> None:
    strangers = [CosignatureSigner(f"stranger.example/{i}", key(f"stranger {i}")) for i in range(MAX_SIGNATURES)]
    assert len(cosigned_by(cosigned(*strangers[:15], SIGNERS[0]), WITNESSES)) == 1
    with pytest.raises(ProofInvalid, match="signature lines"):
        cosigned_by(cosigned(*strangers), WITNESSES)


def test_adding_a_cosignature_twice_adds_it_once() -> None:
    line = SIGNERS[0].cosign(TEXT, TIME)
    once = add_cosignatures(NOTE, [line, line])
    assert once == NOTE + line
    assert add_cosignatures(once, [line]) == once


def test_only_checkpoints_are_cosigned() -> None:
    with pytest.raises(ProofInvalid):
        SIGNERS[0].cosign("a note\nof another kind\n", TIME)
    with pytest.raises(ProofInvalid, match="cannot name"):
        CosignatureSigner("two words", key("w0"))
