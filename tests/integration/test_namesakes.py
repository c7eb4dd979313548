"""Receipts of a log that calls itself as ours does, and that nothing vouches for: they lend nothing to other proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import photograph
from tests.integration.test_false_leads import naming

from countermark import Countermark, verify
from countermark.compose import read_trust, trust_document
from countermark.model import Event, Receipt, Verdict
from countermark.settings import Settings

Build = Callable[..., Countermark]


@pytest.fixture
def namesake(build: Build, cm: Countermark, tmp_path: Path) -> Countermark:
    """A forger's installation, whose log has the name of ours and another key."""
    return build(settings=Settings(home=tmp_path / "namesake", log={"origin": cm.log.origin}))


def forged(namesake: Countermark, data: bytes) -> Receipt:
    """A receipt that says these bytes are recorded: the entry is made up, the proof is of the forger's log."""
    receipt = namesake.mark(photograph("coffee"), model="test/any").receipt
    assert receipt is not None
    event = Event.model_validate_json(receipt.entry)
    assert event.output is not None
    output = event.output.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    return receipt.model_copy(update={"entry": event.model_copy(update={"output": output}).model_dump_json()})


def test_a_namesakes_receipt_does_not_make_our_record_that_of_any_file(
    cm: Countermark, namesake: Countermark, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    ours = cm.mark(photo, model="test/given")
    assert ours.data is not None
    assert ours.receipt is not None
    file = naming(ours.event_id, cm.log.origin, photograph("astronaut"), namesake)
    without = cm.verify(file)
    assert without.verdict is Verdict.UNTRUSTED
    lie = forged(namesake, file)
    reports = [cm.verify(file, receipts=[lie])]
    trust = read_trust(trust_document(cm.settings), "trust.json")
    for receipts in ([lie, ours.receipt], [ours.receipt, lie]):
        reports.append(verify(file, settings=Settings(home=tmp_path / "nowhere"), trust=trust, receipts=receipts))
    for report in reports:
        assert report.verdict is Verdict.UNTRUSTED, report.reasons
        assert report.generation is None
        assert any("nothing bears out that this is its record" in reason for reason in report.reasons)


def test_a_namesakes_receipt_does_not_silence_a_contradiction(
    cm: Countermark, namesake: Countermark, photo: NDArray[np.uint8]
) -> None:
    ours = cm.mark(photo, model="test/given")
    assert ours.data is not None
    copy = naming(ours.event_id, cm.log.origin, photograph("astronaut"), cm)
    assert cm.verify(copy).verdict is Verdict.CONTRADICTORY
    assert cm.verify(copy, receipts=[forged(namesake, copy)]).verdict is Verdict.CONTRADICTORY


def test_a_namesakes_receipt_does_not_stand_for_an_entry_that_is_gone(
    cm: Countermark, namesake: Countermark, photo: NDArray[np.uint8]
) -> None:
    file = naming("0" * 32, cm.log.origin, photo, cm)
    assert cm.verify(file).verdict is Verdict.PROOF_FAILED
    lie = forged(namesake, file)
    entry = Event.model_validate_json(lie.entry).model_copy(update={"event_id": "0" * 32})
    lie = lie.model_copy(update={"entry": entry.model_dump_json()})
    assert cm.verify(file, receipts=[lie]).verdict is Verdict.PROOF_FAILED
