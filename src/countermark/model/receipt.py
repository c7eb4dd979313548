"""A receipt: an event, its inclusion proof and a signed checkpoint; checkable offline."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from countermark.model.base import Frozen

RECEIPT_SCHEMA: Final = "countermark.receipt/1"


class Receipt(Frozen):
    """What the log gives back for one entry.

    ``entry`` is the leaf's exact bytes (canonical JSON, UTF-8); ``proof`` a C2SP tlog-proof text, which carries the
    signed checkpoint; ``log_key`` the log's verifier key (C2SP signed-note vkey).
    A receipt that names its own key proves nothing alone: the reader must know the key from elsewhere.
    """

    schema_: Literal["countermark.receipt/1"] = Field(default=RECEIPT_SCHEMA, alias="schema")
    entry: str
    proof: str
    log_key: str
