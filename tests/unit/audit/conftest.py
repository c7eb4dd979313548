"""The vector maker as a module, and a log on a fresh path."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from countermark.audit import AuditLog

KIT = Path(__file__).parents[3] / "audit"
MASTER_KEY = bytes(range(32))


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vectors", KIT / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def log(tmp_path: Path, kit: ModuleType) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "audit.db", signer=kit.signer(), master_key=MASTER_KEY) as log:
        yield log
