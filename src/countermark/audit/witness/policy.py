"""How many of which witnesses a checkpoint needs before it counts as witnessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from countermark.audit.note import parse_note, signature_line
from countermark.audit.witness.cosignature import CosignatureVerifier
from countermark.errors import ProofInvalid, SettingsInvalid


@dataclass(frozen=True)
class WitnessPolicy:
    """Witnesses, and the quorum: how many of them must have cosigned. A quorum of 0 demands nothing.

    Raises:
        SettingsInvalid: two witnesses share a name or a key (one signature would count twice), or the quorum is more
            than there are witnesses.
    """

    witnesses: tuple[CosignatureVerifier, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        for what, values in (
            ("name", [w.name for w in self.witnesses]),
            ("key", [w.public_key for w in self.witnesses]),
        ):
            if len(set(values)) != len(values):
                raise SettingsInvalid(
                    f"Two witnesses have the same {what}, so that one would count as two.",
                    remedy="List each witness once, under its own verifier key.",
                )
        if not 0 <= self.quorum <= len(self.witnesses):
            raise SettingsInvalid(
                f"A quorum of {self.quorum} cannot be met by {len(self.witnesses)} witnesses.",
                remedy="Name as many witnesses as the quorum asks for, or more.",
            )

    @classmethod
    def parse(cls, vkeys: Iterable[str], quorum: int) -> WitnessPolicy:
        """From verifier keys in their text form.

        Raises:
            ProofInvalid: a key is malformed or not a witness's.
            SettingsInvalid: they do not fit each other or the quorum.
        """
        return cls(tuple(CosignatureVerifier.parse(vkey) for vkey in vkeys), quorum)

    def cosigners(self, note: str) -> tuple[str, ...]:
        """The names of the witnesses that cosigned a checkpoint, whether or not they are enough.

        Raises:
            ProofInvalid: not a note, or a cosignature of a known witness is wrong.
        """
        return tuple(sorted(cosigned_by(note, self.witnesses)))

    def witnessed(self, note: str) -> tuple[str, ...]:
        """See :func:`witnessed`."""
        return witnessed(note, self.witnesses, self.quorum)


def cosigned_by(note: str, witnesses: Iterable[CosignatureVerifier]) -> dict[str, int]:
    """Which of the witnesses cosigned a checkpoint, and when (seconds since 1970, the latest where there are several).

    Signatures of unknown keys are ignored; a wrong one of a known witness spoils the whole note (C2SP signed-note).
    The log's own signature is not looked at here.

    Raises:
        ProofInvalid: not a note, or a cosignature of a known witness is wrong.
    """
    known = {(witness.name, witness.id): witness for witness in witnesses}
    parsed = parse_note(note)
    found: dict[str, int] = {}
    for line in parsed.signatures:
        witness = known.get((line.name, line.key_id))
        if witness is None:
            continue
        timestamp = witness.timestamp(parsed.text, line.signature)
        if timestamp is None:
            raise ProofInvalid(f"The cosignature of the witness '{line.name}' is wrong.")
        found[witness.name] = max(timestamp, found.get(witness.name, 0))
    return found


def witnessed(note: str, witnesses: Sequence[CosignatureVerifier], quorum: int) -> tuple[str, ...]:
    """The witnesses that cosigned a checkpoint, by name, if at least ``quorum`` of them did; otherwise nobody.

    Raises:
        ProofInvalid: not a note, or a cosignature of a known witness is wrong.
    """
    names = tuple(sorted(cosigned_by(note, witnesses)))
    return names if len(names) >= quorum else ()


def add_cosignatures(note: str, lines: Iterable[str]) -> str:
    """The note with further signature lines, each line once."""
    present = {signature_line(s.name, s.key_id, s.signature) for s in parse_note(note).signatures}
    return note + "".join(line for line in dict.fromkeys(lines) if line not in present)
