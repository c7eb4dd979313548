"""Witnesses (C2SP tlog-witness): others who cosign a log's checkpoints, and never two stories of one log.

A server that cosigns, a client that asks, a thread that collects cosignatures beside a running log, and the policy
that says how many of which witnesses a checkpoint needs before a reader believes it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from countermark.audit.witness.client import WitnessClient
    from countermark.audit.witness.collector import Collector, Round
    from countermark.audit.witness.compare import compare_witnessed
    from countermark.audit.witness.cosignature import CosignatureSigner, CosignatureVerifier
    from countermark.audit.witness.kept import KeptCheckpoints
    from countermark.audit.witness.policy import WitnessPolicy, cosigned_by, witnessed
    from countermark.audit.witness.server import WitnessServer
    from countermark.audit.witness.state import WitnessState
    from countermark.audit.witness.witness import Witness

_HOMES = {
    "Collector": "collector",
    "CosignatureSigner": "cosignature",
    "CosignatureVerifier": "cosignature",
    "KeptCheckpoints": "kept",
    "Round": "collector",
    "Witness": "witness",
    "WitnessClient": "client",
    "WitnessPolicy": "policy",
    "WitnessServer": "server",
    "WitnessState": "state",
    "compare_witnessed": "compare",
    "cosigned_by": "policy",
    "witnessed": "policy",
}

__all__ = [
    "Collector",
    "CosignatureSigner",
    "CosignatureVerifier",
    "KeptCheckpoints",
    "Round",
    "Witness",
    "WitnessClient",
    "WitnessPolicy",
    "WitnessServer",
    "WitnessState",
    "compare_witnessed",
    "cosigned_by",
    "witnessed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
