"""What one installation tells others, so that they can check its files: anchors, log keys, witnesses; no secret."""

from __future__ import annotations

import json
from dataclasses import asdict

from countermark.audit import NoteVerifier
from countermark.audit.witness import WitnessPolicy
from countermark.compose.home import Home
from countermark.compose.witnessing import witness_policy
from countermark.credentials import Anchors
from countermark.errors import KeyUnavailable, ProofInvalid, SettingsInvalid, UsageError
from countermark.settings import Settings
from countermark.verification import Trust

_FAULTS = (
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError),  # of what is no such JSON
    *(KeyUnavailable, ProofInvalid, SettingsInvalid),
)
TRUST_SCHEMA = "countermark.trust/1"


def trust_document(settings: Settings) -> bytes:
    """What others need to check this installation's files and receipts, as JSON: anchors and log keys, no secrets.

    Raises:
        KeyUnavailable: there is no log key or certificate yet. None is made: what nobody signs with, nobody can trust.
    """
    home = Home(settings)
    certified = settings.credentials.chain or (home.certificates / "signer.pem").exists()
    if not home.log_keys() or not certified:
        raise KeyUnavailable(
            f"There is nothing to trust yet: {home.folder} has no {'certificate' if home.log_keys() else 'log key'}.",
            remedy="Make it with: countermark keys init; or name the home that you meant: --home.",
        )
    anchors = home.anchors() + Anchors.for_identity(home.identity())
    document = {"schema": TRUST_SCHEMA, **asdict(anchors), "log_keys": list(home.log_keys())}
    policy = witness_policy(settings.audit)
    if policy.witnesses:
        document["witnesses"] = [witness.vkey for witness in policy.witnesses]
        document["witness_quorum"] = policy.quorum
    return json.dumps(document, indent=2).encode() + b"\n"


def read_trust(data: bytes, name: str) -> Trust:
    """The trust that a document made by :func:`trust_document` asks for.

    Raises:
        UsageError: it is no such document.
    """
    try:
        document = json.loads(data)
        if document.pop("schema") != TRUST_SCHEMA:
            raise ValueError("another schema")
        log_keys = tuple(NoteVerifier.parse(key).vkey for key in _texts(document.pop("log_keys")))
        vkeys = [str(key) for key in document.pop("witnesses", [])]
        policy = WitnessPolicy.parse(vkeys, int(document.pop("witness_quorum", 0)))
        anchors = Anchors.parse(dict(zip(document, _texts(list(document.values())), strict=True)), name)
        return Trust(anchors, log_keys, dict.fromkeys(log_keys, policy) if policy.witnesses else {})
    except _FAULTS as error:
        raise UsageError(
            f"{name} is not a trust document.", remedy="Ask its owner for: countermark keys export-trust"
        ) from error


def _texts(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("not a list of texts")
    return values
