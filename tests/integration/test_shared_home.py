"""A home whose log is in PostgreSQL: keys that are gone, and settings that would begin a second log beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'countermark[postgres]'")

from tests.postgres_server import Server

from countermark import Countermark
from countermark.compose import Home
from countermark.errors import EnvironmentLacking, KeyUnavailable, SettingsInvalid
from countermark.keys import Purpose
from countermark.settings import AuditSettings, Settings


@pytest.fixture
def in_files(settings: Settings) -> Settings:
    return settings


@pytest.fixture
def in_postgres(settings: Settings, postgres_server: Server) -> Settings:
    urls = (postgres_server.new_database(), postgres_server.new_database())
    return settings.model_copy(update={"audit": AuditSettings(url=urls[0], signed=urls[1])})


def begun(settings: Settings) -> Home:
    """A home with keys and a log."""
    home = Home(settings)
    home.make()
    home.open_log().close()
    return home


def test_a_lost_key_is_not_made_anew_beside_a_log_in_postgresql(
    build: Callable[..., Countermark], in_postgres: Settings, tmp_path: Path
) -> None:
    home = begun(in_postgres)
    (home.keys.folder / "watermark-00.key").unlink()
    with pytest.raises(KeyUnavailable, match=r"gone from .*: watermark\."):
        build(settings=in_postgres)
    assert home.keys.missing() == (Purpose.WATERMARK,)
    with pytest.raises(KeyUnavailable, match="watermark, audit-log, master, pseudonym") as told:
        build(settings=in_postgres.model_copy(update={"home": tmp_path / "second-host"}))
    assert "copy them from another host" in told.value.remedy
    home.keys.ensure()
    begun(in_postgres)


def test_a_worker_that_lost_the_address_of_its_log_begins_no_other(in_files: Settings, in_postgres: Settings) -> None:
    begun(in_postgres)
    home = Home(in_files)
    with pytest.raises(SettingsInvalid, match="is in PostgreSQL") as told:
        home.open_log()
    assert "COUNTERMARK_AUDIT__URL" in told.value.remedy
    assert not home.has_log()
    begun(in_postgres)


def test_an_address_that_nobody_answered_at_leaves_the_home_free(in_files: Settings) -> None:
    home = Home(in_files.model_copy(update={"audit": AuditSettings(url="postgresql://127.0.0.1:1/none")}))
    home.keys.ensure()
    with pytest.raises(EnvironmentLacking, match="cannot be reached"):
        home.open_log()
    begun(in_files)


def test_a_home_with_a_log_in_files_begins_no_other_of_that_name_in_postgresql(
    in_files: Settings, in_postgres: Settings
) -> None:
    begun(in_files)
    with pytest.raises(SettingsInvalid, match="second history") as told:
        Home(in_postgres).open_log()
    assert "new home" in told.value.remedy
    assert not Home(in_postgres).has_log()
    begun(in_files)
    named = in_postgres.log.model_copy(update={"origin": "log.example/two"})
    begun(in_postgres.model_copy(update={"log": named}))


def test_two_logs_that_are_there_already_can_both_be_written(in_files: Settings, in_postgres: Settings) -> None:
    home = begun(in_postgres)
    (home.folder / "audit.elsewhere").unlink()  # of a version that left none
    begun(in_files)
    begun(in_postgres)
    begun(in_files)
