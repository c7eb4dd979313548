"""A log held against the checkpoints that witnesses cosigned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from countermark.audit.checkpoint import Checkpoint, open_checkpoint
from countermark.audit.findings import LogFinding, LogFindingKind
from countermark.audit.note import parse_note, signature_line
from countermark.audit.reader import LogReader
from countermark.audit.witness.policy import WitnessPolicy, add_cosignatures, cosigned_by
from countermark.errors import AuditStoreDamaged, NotFound, ProofInvalid


@dataclass(frozen=True)
class Comparison:
    """The outcome: what is wrong, and up to where the log is witnessed.

    Attributes:
        findings: empty where the log extends every cosigned checkpoint and the newest one has its quorum.
        size: entries under the newest checkpoint that has its quorum; 0 without one.
        names: who cosigned that one.
        time: when the last of them did, in seconds since 1970; 0 without one.
    """

    findings: tuple[LogFinding, ...]
    size: int = 0
    names: tuple[str, ...] = ()
    time: int = 0


def compare_witnessed(log: LogReader, notes: Iterable[str], policy: WitnessPolicy) -> Comparison:
    """Hold a log against cosigned checkpoints, wherever they come from: kept beside it, or told by the witnesses.

    The tree is read from the log's stored hashes, so verify the log itself (:meth:`LogReader.verify`) as well.

    Args:
        log: the log.
        notes: checkpoints of it, each with the cosignatures it has. Those without any count for nothing.
        policy: whose cosignatures count, and how many are needed.
    """
    findings: list[LogFinding] = []
    best = Comparison(())
    for note in _merged(notes, findings):
        try:
            checkpoint = open_checkpoint(note, log.verifier_key)
            times = cosigned_by(note, policy.witnesses)
        except ProofInvalid as error:
            findings.append(_unusable(error))
            continue
        if not times:
            continue
        names = tuple(sorted(times))
        source = f"The checkpoint of {checkpoint.size} entries that {', '.join(names)} cosigned"
        fault = contradiction(log, checkpoint, source)
        if fault:
            findings.append(fault)
        elif len(names) >= policy.quorum and checkpoint.size >= best.size:
            best = Comparison((), checkpoint.size, names, max(times.values()))
    if policy.quorum and len(best.names) < policy.quorum:
        message = (
            f"No checkpoint that this log extends was cosigned by {policy.quorum} of {len(policy.witnesses)} witnesses."
        )
        findings.append(LogFinding(LogFindingKind.UNWITNESSED, message))
    return Comparison(tuple(findings), best.size, best.names, best.time)


def _merged(notes: Iterable[str], findings: list[LogFinding]) -> list[str]:
    """Notes of the same text as one, with the signatures of all."""
    by_text: dict[str, str] = {}
    for note in notes:
        try:
            parsed = parse_note(note)
            lines = [signature_line(s.name, s.key_id, s.signature) for s in parsed.signatures]
            by_text[parsed.text] = add_cosignatures(by_text.get(parsed.text, note), lines)
        except ProofInvalid as error:
            findings.append(_unusable(error))
    return list(by_text.values())


def _unusable(error: ProofInvalid) -> LogFinding:
    return LogFinding(LogFindingKind.CHECKPOINT, f"A cosigned checkpoint cannot be trusted: {error.message}")


def contradiction(log: LogReader, checkpoint: Checkpoint, source: str) -> LogFinding | None:
    """How a log contradicts a checkpoint of it, if it does; by its stored hashes, so verify the log itself as well.

    Args:
        log: the log.
        checkpoint: with a verified signature.
        source: names it at the beginning of a sentence.
    """
    last = checkpoint.size - 1
    try:
        if log.root(checkpoint.size) == checkpoint.root:
            return None
    except NotFound:
        return LogFinding(LogFindingKind.TRUNCATED, f"{source} counts more than the store holds: the newest are gone.")
    except AuditStoreDamaged as damage:
        return LogFinding(LogFindingKind.STORE, damage.message)
    message = f"{source} contradicts the log: an entry up to {last} is not what it was then, and was rewritten since."
    return LogFinding(LogFindingKind.REWRITTEN, message, 0, last)
