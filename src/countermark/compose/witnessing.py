"""The witnesses that settings name: the policy they make, and what collects their cosignatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from countermark.audit import AuditLog
from countermark.audit.reader import LogReader
from countermark.audit.witness import (
    Collector,
    CosignatureSigner,
    CosignatureVerifier,
    KeptCheckpoints,
    WitnessClient,
    WitnessPolicy,
    compare_witnessed,
)
from countermark.audit.witness.compare import Comparison
from countermark.compose.home import Home
from countermark.errors import ProofInvalid, SettingsInvalid, WitnessUnavailable
from countermark.keys import KeyRing, Purpose
from countermark.settings import AuditSettings, WitnessSettings

NAME_SOME: Final = "Name them in countermark.toml: audit.witnesses."


@dataclass(frozen=True)
class Asked:
    """What the witnesses answered when they were asked for the newest checkpoint of a log that they cosigned.

    Attributes:
        showed: those that showed one.
        cosigned_none: those that know of none.
        silent: those that could not be asked or gave no usable answer, by name.
        needed: how many must show one: the quorum, or one where there is none.
    """

    showed: tuple[str, ...]
    cosigned_none: tuple[str, ...]
    silent: dict[str, WitnessUnavailable]
    needed: int

    @property
    def enough(self) -> bool:
        """Whether so many showed one that the comparison rests on them, not on what is kept beside the log."""
        return len(self.showed) >= self.needed


def witness_policy(chosen: AuditSettings) -> WitnessPolicy:
    """Whose cosignatures count, and how many are needed.

    Raises:
        SettingsInvalid: a key is malformed, or one witness is named twice.
    """
    return WitnessPolicy(tuple(_verifier(witness) for witness in chosen.witnesses), chosen.witness_quorum)


def witness_clients(chosen: AuditSettings) -> list[WitnessClient]:
    """The witnesses, to be asked."""
    return [WitnessClient(witness.url, _verifier(witness)) for witness in chosen.witnesses]


def kept_checkpoints(home: Home) -> KeptCheckpoints:
    """Where this installation keeps the cosigned checkpoints of its log."""
    return KeptCheckpoints(home.folder / "checkpoints")


def open_collector(home: Home, log: AuditLog) -> Collector | None:
    """What collects cosignatures for a log; ``None`` without witnesses."""
    chosen = home.settings.audit
    if not chosen.witnesses:
        return None
    witness_policy(chosen)  # refuses a witness that is named twice
    return Collector(
        log,
        witness_clients(chosen),
        kept_checkpoints(home),
        quorum=chosen.witness_quorum,
        interval=chosen.witness_interval,
    )


def held_against_witnesses(
    home: Home, log: LogReader, *, quorum: int | None = None, ask: bool = False
) -> tuple[Comparison, Asked | None]:
    """A log held against the cosigned checkpoint that is kept here and, if asked for, those that the witnesses hold.

    Whoever can write the home folder can put an older checkpoint there; only asking the witnesses finds that.

    Args:
        home: whose settings name the witnesses.
        log: the log.
        quorum: how many must have cosigned; what the settings say unless given.
        ask: fetch the newest checkpoint from each witness, over the network.

    Returns:
        The comparison, and what the witnesses answered where they were asked.

    Raises:
        SettingsInvalid: the quorum is more than there are witnesses, or there is none to ask.
    """
    policy = witness_policy(home.settings.audit)
    if quorum is not None:
        policy = WitnessPolicy(policy.witnesses, quorum)
    if ask and not policy.witnesses:
        raise SettingsInvalid("No witness is configured, so none can be asked.", remedy=NAME_SOME)
    latest: dict[str, str | None] = {}
    silent: dict[str, WitnessUnavailable] = {}
    for client in witness_clients(home.settings.audit) if ask else ():
        try:
            latest[client.name] = client.latest(log.verifier_key)
        except WitnessUnavailable as error:
            silent[client.name] = error
    shown = {name: note for name, note in latest.items() if note}
    kept = kept_checkpoints(home).newest() if policy.witnesses else None
    comparison = compare_witnessed(log, [kept, *shown.values()] if kept else shown.values(), policy)
    if not ask:
        return comparison, None
    none = tuple(name for name, note in latest.items() if not note)
    return comparison, Asked(tuple(shown), none, silent, max(policy.quorum, 1))


def cosigner(ring: KeyRing, name: str) -> CosignatureSigner:
    """The key of the witness that runs here."""
    return CosignatureSigner(name, ring.ed25519(Purpose.WITNESS))


def _verifier(witness: WitnessSettings) -> CosignatureVerifier:
    try:
        return CosignatureVerifier.parse(witness.vkey)
    except ProofInvalid as error:
        raise SettingsInvalid(f"audit.witnesses: {witness.name}: {error.message}") from error
