"""Signed notes and checkpoints: the specification's own example, and everything that must be refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.audit.checkpoint import Checkpoint, open_checkpoint, refuse_unusable, sign_checkpoint
from countermark.audit.note import NoteSigner, NoteVerifier, open_note, parse_note
from countermark.audit.tiles import tile_path
from countermark.errors import CheckpointInvalid, ProofInvalid

# The public key and note that golang.org/x/mod/sumdb/note documents and tests with.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = NoteSigner("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOTE = sign_checkpoint(SIGNER, 3, bytes(32))


def test_opens_the_note_that_go_documents() -> None:
    text, signed_by = open_note(GO_NOTE, [NoteVerifier.parse(GO_VKEY)])
    assert text.startswith("If you think")
    assert {v.vkey for v in signed_by} == {GO_VKEY}


def test_ed25519_signatures_are_deterministic_so_a_checkpoint_signed_twice_is_the_same() -> None:
    assert sign_checkpoint(SIGNER, 3, bytes(32)) == NOTE


def test_a_checkpoint_survives_the_round_trip() -> None:
    assert open_checkpoint(NOTE, SIGNER.verifier_key) == Checkpoint("example.com/log", 3, bytes(32))
    extended = Checkpoint("example.com/log", 0, bytes(32), ("extension",))
    assert open_checkpoint(SIGNER.sign(extended.text), SIGNER.verifier_key) == extended


@given(st.integers(0, len(NOTE) - 1), st.characters(exclude_categories=["Cs"]))
@settings(max_examples=150, deadline=None)
def test_a_note_with_any_character_changed_is_refused(position: int, character: str) -> None:
    if NOTE[position] != character:
        with pytest.raises(ProofInvalid):
            open_checkpoint(NOTE[:position] + character + NOTE[position + 1 :], SIGNER.verifier_key)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        NOTE + "\n",
        NOTE[:-1],
        NOTE.replace("\u2014", "-"),
        NOTE.replace("example.com/log ", "example.com/log  "),
        NOTE.replace("\n\n", "\r\n\n"),
        NOTE + "not a signature\n",
        NOTE + "\u2014 name AAAA\n",
        NOTE + "\u2014 other AAAAAAA\n",
        "text" * 20_000 + "\n\n\u2014 a AAAAAAA=\n",
        NOTE + "\u2014 x AAAAAAA=\n" * 100,
    ],
)
def test_malformed_notes_are_refused(note: str) -> None:
    with pytest.raises(ProofInvalid):
        parse_note(note)


def test_a_note_may_hold_a_hundred_signatures() -> None:
    assert len(parse_note(NOTE + "\u2014 x AAAAAAA=\n" * 99).signatures) == 100


def test_a_checkpoint_that_says_nothing_of_a_log_does_not_accuse_it() -> None:
    stranger = NoteSigner("witness.example", Ed25519PrivateKey.generate())
    by_another_key = NoteSigner(SIGNER.name, Ed25519PrivateKey.generate()).sign(parse_note(NOTE).text)
    witness_line = stranger.sign(parse_note(NOTE).text).rpartition("\n\n")[2]
    text, _, lines = NOTE.rpartition("\n\n")
    for usable in (NOTE, NOTE + witness_line, f"{text}\n\n{witness_line}{lines}", by_another_key):
        refuse_unusable(usable, SIGNER.verifier_key)
    grown = text.replace("\n3\n", "\n4\n")
    assert grown != text
    damaged = (f"{grown}\n\n{lines}", f"{grown}\n\n{witness_line}{lines}", f"{grown}\n\n{lines}{witness_line}")
    for unusable, why in (
        *((note, "not what the log signed") for note in damaged),
        (NOTE[:-1], "damaged or none"),
        (SIGNER.sign("no checkpoint\n"), "damaged or none"),
        (stranger.sign(Checkpoint(stranger.name, 3, bytes(32)).text), "of the log 'witness.example'"),
    ):
        with pytest.raises(CheckpointInvalid, match=why):
            refuse_unusable(unusable, SIGNER.verifier_key)


def test_unknown_signatures_are_ignored_but_a_wrong_known_one_spoils_the_note() -> None:
    stranger = NoteSigner("witness.example", Ed25519PrivateKey.generate())
    witness_line = stranger.sign(parse_note(NOTE).text).rpartition("\n\n")[2]
    assert open_checkpoint(NOTE + witness_line, SIGNER.verifier_key).size == 3
    wrong = base64.b64encode(SIGNER.verifier.id + bytes(64)).decode()
    with pytest.raises(ProofInvalid, match="wrong"):
        open_checkpoint(f"{NOTE}\u2014 {SIGNER.name} {wrong}\n", SIGNER.verifier_key)


def test_altered_pad_bits_of_a_signature_are_refused() -> None:
    head, _, last = NOTE.rstrip("\n").rpartition(" ")
    assert last.endswith("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare = last.rstrip("=")
    altered = spare[:-1] + alphabet[alphabet.index(spare[-1]) ^ 1] + last[len(spare) :]
    assert base64.b64decode(altered) == base64.b64decode(last)
    with pytest.raises(ProofInvalid, match="canonical"):
        open_checkpoint(f"{head} {altered}\n", SIGNER.verifier_key)


@pytest.mark.parametrize("size", ["", "-1", "+3", "03", " 3", "3 ", "٣", "1e3", str(2**63), "9" * 30])
def test_sizes_that_are_not_plain_decimals_are_refused(size: str) -> None:
    root = base64.b64encode(bytes(32)).decode()
    with pytest.raises(ProofInvalid):
        Checkpoint.parse(f"example.com/log\n{size}\n{root}\n")


@pytest.mark.parametrize(
    "text", ["origin\n3\n", "origin\n3\nAAAA\n", "\n3\n" + "A" * 43 + "=\n", "o\n3\n" + "A" * 43 + "=\n\nx\n", "o\n3"]
)
def test_texts_that_are_not_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(ProofInvalid):
        Checkpoint.parse(text)


def test_a_checkpoint_of_another_log_is_refused_even_if_this_key_signed_it() -> None:
    with pytest.raises(ProofInvalid, match="of the log 'elsewhere'"):
        open_checkpoint(SIGNER.sign(Checkpoint("elsewhere", 3, bytes(32)).text), SIGNER.verifier_key)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        GO_VKEY.replace("c74f20a3", "c74f20a4"),
        GO_VKEY.replace("Peter", "Pieter"),
        GO_VKEY[:-4],
        "PeterNeumann+c74f20a3+" + base64.b64encode(b"\x04" + bytes(32)).decode(),
    ],
)
def test_verifier_keys_that_do_not_fit_themselves_are_refused(vkey: str) -> None:
    with pytest.raises(ProofInvalid):
        NoteVerifier.parse(vkey)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "tab\tname", "new\nline", "nb\u00a0sp"])
def test_names_that_notes_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(ProofInvalid):
        NoteSigner(name, Ed25519PrivateKey.generate())


def test_tile_paths_are_those_of_the_specification() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(1, 0, 17) == "tile/1/000.p/17"
    assert tile_path(0, 1000) == "tile/0/x001/000"
