"""Builds everything from settings: the only place that names adapters. Names are loaded at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countermark.compose.checking import check, default_image_safety, default_prompt_safety, to_raster
    from countermark.compose.home import Home
    from countermark.compose.layer import Countermark
    from countermark.compose.trust import read_trust, trust_document
    from countermark.compose.verifying import open_sources, verify
    from countermark.compose.witnessing import (
        cosigner,
        held_against_witnesses,
        kept_checkpoints,
        open_collector,
        witness_clients,
        witness_policy,
    )

_HOMES = {
    "Countermark": "layer",
    "Home": "home",
    "check": "checking",
    "cosigner": "witnessing",
    "default_image_safety": "checking",
    "default_prompt_safety": "checking",
    "held_against_witnesses": "witnessing",
    "kept_checkpoints": "witnessing",
    "open_collector": "witnessing",
    "open_sources": "verifying",
    "read_trust": "trust",
    "to_raster": "checking",
    "trust_document": "trust",
    "verify": "verifying",
    "witness_clients": "witnessing",
    "witness_policy": "witnessing",
}

__all__ = [
    "Countermark",
    "Home",
    "check",
    "cosigner",
    "default_image_safety",
    "default_prompt_safety",
    "held_against_witnesses",
    "kept_checkpoints",
    "open_collector",
    "open_sources",
    "read_trust",
    "to_raster",
    "trust_document",
    "verify",
    "witness_clients",
    "witness_policy",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module at first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
