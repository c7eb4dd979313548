"""What verification makes of a log in which nothing can be looked up: nothing, neither good nor bad."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from countermark.audit import AuditLog
from countermark.audit.warrant import Warrant
from countermark.credentials import Anchors
from countermark.model import EventType
from countermark.verification.context import Sources, Trust
from countermark.verification.resolve import resolve

DROPPED = "DROP TABLE event_index; DROP TABLE posting; DROP TABLE locator;"


@pytest.mark.parametrize("damage", [DROPPED, "PRAGMA user_version = 2;"], ids=["dropped", "older"])
def test_a_log_whose_index_cannot_be_used_is_not_checked_and_convicts_nobody(damage: str, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "audit.db") as log:
        log.append(Warrant("asked").event(EventType.REFUSED, event_id=secrets.token_hex(16)))
    store = sqlite3.connect(tmp_path / "audit.db")
    store.executescript(damage)
    store.close()
    unmarked = SimpleNamespace(
        sha256="0" * 64, manifest=SimpleNamespace(event_id=None), watermark=SimpleNamespace(record_id=None, marks=())
    )
    with AuditLog.open(tmp_path / "audit.db", read_only=True) as log:
        resolved = resolve(unmarked, Sources(Trust(Anchors()), log=log))  # type: ignore[arg-type]
    assert (resolved.audit.state, resolved.records, resolved.missing) == ("not_checked", {}, ())
    assert "log reindex" in resolved.audit.note
