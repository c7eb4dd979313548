"""Looking things up: which columns of an event are indexed, and the filters over them.

The index is derived from the entries and can be rebuilt from them; whoever looks something up in it checks the answer
against the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

INDEX_COLUMNS: Final = (
    "event_id",
    "time",
    "type",
    "tenant",
    "attempt",
    "decision",
    "model",
    "policy",
    "output_sha256",
    "manifest_sha256",
    "watermark_payload",
    "fingerprint",
)

IndexRow = tuple[str | None, ...]


def index_row(document: Mapping[str, Any]) -> IndexRow:
    """The indexed values of an event's document, in the order of :data:`INDEX_COLUMNS`."""
    output = document.get("output") or {}
    model = document.get("model") or {}
    policy = document.get("policy")
    return (
        document["event_id"],
        document["time"],
        document["type"],
        document["tenant"],
        document["attempt"],
        document.get("decision"),
        model.get("id"),
        f"{policy['id']}@{policy['version']}" if policy else None,
        output.get("sha256"),
        output.get("manifest_sha256"),
        output.get("watermark_payload"),
        output.get("fingerprint"),
    )


@dataclass(frozen=True)
class Filter:
    """Conditions joined by *and*; those left ``None`` do not matter. ``since`` is inclusive, ``until`` exclusive."""

    event_id: str | None = None
    attempt: str | None = None
    type: str | None = None
    tenant: str | None = None
    decision: str | None = None
    output_sha256: str | None = None
    manifest_sha256: str | None = None
    watermark_payload: str | None = None
    since: str | None = None
    until: str | None = None
    before: int | None = None

    def where(self) -> tuple[str, list[str | int]]:
        """An SQL condition over ``event_index`` with ``?`` for each value, and the values."""
        given = self.given()
        conditions = [_OPERATORS.get(name, f"{name} = ?") for name in given]
        return " AND ".join(["1", *conditions]), list(given.values())

    def given(self) -> dict[str, str | int]:
        """The conditions that matter, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


_OPERATORS = {"since": "time >= ?", "until": "time < ?", "before": "seq < ?"}
