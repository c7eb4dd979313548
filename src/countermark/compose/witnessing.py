"""The witnesses that settings name: the policy they make, and what collects their cosignatures."""

from __future__ import annotations

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
) -> tuple[Comparison, list[WitnessUnavailable]]:
    """A log held against the cosigned checkpoint that is kept here and, if asked for, those that the witnesses hold.

    Whoever can write the home folder can put an older checkpoint there; only asking the witnesses finds that.

    Args:
        home: whose settings name the witnesses.
        log: the log.
        quorum: how many must have cosigned; what the settings say unless given.
        ask: fetch the newest checkpoint from each witness, over the network.

    Returns:
        The comparison, and the witnesses that could not be asked.

    Raises:
        SettingsInvalid: the quorum is more than there are witnesses.
    """
    policy = witness_policy(home.settings.audit)
    if quorum is not None:
        policy = WitnessPolicy(policy.witnesses, quorum)
    notes: list[str] = []
    silent: list[WitnessUnavailable] = []
    for client in witness_clients(home.settings.audit) if ask else ():
        try:
            latest = client.latest(log.verifier_key)
        except WitnessUnavailable as error:
            silent.append(error)
        else:
            notes += [latest] if latest else []
    kept = kept_checkpoints(home).newest() if policy.witnesses else None
    return compare_witnessed(log, [kept, *notes] if kept else notes, policy), silent


def cosigner(ring: KeyRing, name: str) -> CosignatureSigner:
    """The key of the witness that runs here."""
    return CosignatureSigner(name, ring.ed25519(Purpose.WITNESS))


def _verifier(witness: WitnessSettings) -> CosignatureVerifier:
    try:
        return CosignatureVerifier.parse(witness.vkey)
    except ProofInvalid as error:
        raise SettingsInvalid(f"audit.witnesses: {witness.name}: {error.message}") from error
