"""Keys that settings name elsewhere: read before anything is made, and rotated by naming another before them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from countermark.audit.warrant import Warrant
from countermark.cli.main import run
from countermark.compose import Home
from countermark.model import EventType
from countermark.settings import load_settings


def record(prompt: str) -> None:
    place = Home(load_settings().settings)
    with place.open_log() as log:
        log.append(Warrant("asked").event(EventType.REFUSED), protected={"prompt": prompt})


def test_a_master_key_kept_elsewhere_is_rotated_by_naming_another_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLD", "0a" * 32)
    monkeypatch.setenv("NEW", "0b" * 32)
    config = tmp_path / "countermark.toml"
    config.write_text('[keys]\nmaster = "env://OLD"\n')
    assert run(["keys", "init"]) == 0
    record("under the old key")
    assert run(["keys", "rotate", "master", "--reason", "yearly"]) == 1
    assert '["NEW", "env://OLD"]' in capsys.readouterr().err
    config.write_text('[keys]\nmaster = ["env://NEW", "env://OLD"]\n')
    record("under the new key")
    monkeypatch.setenv("OLD", "0c" * 32)
    for entry, prompt in (("1", "under the new key"), ("0", None)):
        capsys.readouterr()
        code = run(["log", "show", entry, "--reveal", "--reason", "x", "--json"])
        told = json.loads(capsys.readouterr().out)
        assert (told.get("revealed") == {"prompt": prompt}) is (code == 0) is (prompt is not None)
    monkeypatch.setenv("OLD", "0a" * 32)
    assert run(["log", "show", "0", "--reveal", "--reason", "x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["revealed"] == {"prompt": "under the old key"}


@pytest.mark.parametrize("secret", ["abc", ""])
def test_init_reads_the_keys_kept_elsewhere_before_it_makes_any(
    secret: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COUNTERMARK_KEYS__MASTER", "env://MASTER")
    monkeypatch.setenv("MASTER", secret)
    assert run(["keys", "init"]) == 1
    assert "env://MASTER is not 32 bytes" in capsys.readouterr().err
    assert not Path(os.environ["COUNTERMARK_HOME"]).exists()


def test_a_home_without_keys_exports_no_trust_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, trust = Path(os.environ["COUNTERMARK_HOME"]), tmp_path / "trust.json"
    assert run(["keys", "export-trust", "-o", str(trust)]) == 1
    assert "no log key" in capsys.readouterr().err
    assert not home.exists()
    monkeypatch.setenv("LOG", "0d" * 32)
    monkeypatch.setenv("COUNTERMARK_KEYS__AUDIT_LOG", "env://LOG")
    assert run(["keys", "export-trust", "-o", str(trust)]) == 1
    assert "no certificate" in capsys.readouterr().err
    assert not home.exists()
    assert not trust.exists()


def test_whoever_reads_the_log_needs_no_key_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTER_KEY", "11" * 32)
    monkeypatch.setenv("COUNTERMARK_KEYS__MASTER", "env://MASTER_KEY")
    assert run(["keys", "init"]) == 0
    record("a cat")
    monkeypatch.delenv("MASTER_KEY")
    for words in (["list"], ["show", "0"], ["proof", "0"], ["checkpoint"], ["hold", "list"], ["verify"]):
        assert run(["log", *words]) == 0, words
    assert "without the master key" in capsys.readouterr().out
    (tmp_path / "home" / "keys" / "audit-log-00.key").write_bytes(b"closed")
    assert run(["log", "verify"]) == 0
    assert "which names its key itself" in capsys.readouterr().out
    assert run(["log", "show", "0", "--reveal", "--reason", "case 17"]) == 1
    assert "MASTER_KEY" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["30", "60", "80", "200"])
def test_no_key_id_time_or_path_is_cut_on_a_narrow_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from countermark.cli.output import console

    assert run(["keys", "init"]) == 0
    monkeypatch.setenv("COLUMNS", columns)
    console.cache_clear()
    capsys.readouterr()
    assert run(["keys", "list"]) == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    console.cache_clear()
