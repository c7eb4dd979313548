from __future__ import annotations

from pathlib import Path

import pytest

from countermark.errors import SettingsInvalid
from countermark.settings import flat, load_settings


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    config = tmp_path / "countermark.toml"
    config.write_text('tenant = "file"\n[watermark]\npsnr = 41.0\n[output]\nquality = 80\n')
    environ = {"COUNTERMARK_CONFIG": str(config), "COUNTERMARK_TENANT": "env", "COUNTERMARK_WATERMARK__PSNR": "42"}
    loaded = load_settings({"tenant": "flag", "home": None}, environ)
    assert loaded.settings.tenant == "flag"
    assert loaded.settings.watermark.psnr == 42.0
    assert loaded.settings.output.quality == 80
    assert loaded.settings.watermark.backend == "lattice"
    assert loaded.origins["tenant"] == "command line"
    assert loaded.origins["watermark.psnr"] == "environment COUNTERMARK_WATERMARK__PSNR"
    assert loaded.origins["output.quality"] == str(config)
    assert loaded.origins["watermark.backend"] == "default"


def test_a_corrupt_file_is_named_with_the_line(tmp_path: Path) -> None:
    config = tmp_path / "countermark.toml"
    config.write_text('tenant = "a"\nthis is not toml\n')
    with pytest.raises(SettingsInvalid, match="line 2") as caught:
        load_settings({}, {"COUNTERMARK_CONFIG": str(config)})
    assert str(config) in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('colour = "red"', "colour"),
        ("[watermark]\npsnr = 99", "watermark.psnr"),
        ("watermark = 3", "watermark"),
        ('[keys]\nunheard-of = "env://X"', "keys"),
        ("[keys]\nmaster = []", "keys"),
        ('[keys]\naudit-log = ["env://B", "env://A"]', "keys"),
        ("[audit]\nwitness_quorum = 1", "audit"),
        ('[[audit.witnesses]]\nname = "w"\nurl = "ftp://w"\nvkey = "w+1+A"', "audit.witnesses"),
        ('[[audit.witnesses]]\nname = "w"\nurl = "https://w"\nvkey = "v+1+A"', "audit.witnesses"),
        ('[credentials]\nchain = "chain.pem"', "'chain' is set without 'key'"),
        ('[credentials]\nkey = "key.pem"', "'key' is set without 'chain'"),
        ("[safety.prompt]\nuncertain = [0.9, 0.1]", "safety.prompt"),
        ('[[safety.prompt.opinions]]\nkind = "oracle"', "safety.prompt.opinions"),
        ('[[safety.prompt.opinions]]\nkind = "openai"\nkey = "sk-0123"', "safety.prompt.opinions.0.openai.key"),
        ('[[safety.prompt.opinions]]\nkind = "openai"\nreview = 0.9', "safety.prompt.opinions"),
        ('[[safety.image.opinions]]\nkind = "azure"\nurl = "http://azure.example"', "safety.image.opinions"),
        ('[[safety.image.opinions]]\nkind = "llama-guard"\nmodel = "m"', "safety.image.opinions"),
    ],
)
def test_what_does_not_fit_names_file_and_setting(tmp_path: Path, text: str, name: str) -> None:
    config = tmp_path / "countermark.toml"
    config.write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({}, {"COUNTERMARK_CONFIG": str(config)})
    assert name in caught.value.message
    assert str(config) in caught.value.message


def test_a_file_that_is_not_there_is_refused_not_ignored() -> None:
    with pytest.raises(SettingsInvalid, match="not a file"):
        load_settings({}, {"COUNTERMARK_CONFIG": "/nowhere/countermark.toml"})


def test_a_section_given_as_value_is_refused() -> None:
    environ = {"COUNTERMARK_WATERMARK": "x", "COUNTERMARK_WATERMARK__PSNR": "40"}
    with pytest.raises(SettingsInvalid):
        load_settings({}, environ)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:hunter2@db.example:5432/log", "postgresql://app:***@db.example:5432/log"),
        ("postgresql://app@db.example/log?password=hunter2", "postgresql://app@db.example/log?password=***"),
        ("postgresql://app:hun@ter2@db.example/log", "postgresql://app:***@db.example/log"),
        (
            "postgresql://app@db.example/log?sslpassword=hunter2&x=1",
            "postgresql://app@db.example/log?sslpassword=***&x=1",
        ),
        ("postgresql://app@db.example/log", "postgresql://app@db.example/log"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    loaded = load_settings({"audit.url": url, "audit.signed": url}, {})
    assert loaded.settings.audit.url == url
    assert flat(loaded.settings)["audit.url"] == flat(loaded.settings)["audit.signed"] == shown
    assert "ter2" not in repr(loaded.settings)


def test_another_kind_of_database_is_refused_without_showing_its_password() -> None:
    with pytest.raises(SettingsInvalid, match=r"audit\.url") as refusal:
        load_settings({"audit.url": "mysql://app:hunter2@db.example/log"}, {})
    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a." * 3000 + "b = 1"])
def test_a_file_that_is_nested_without_end_is_a_typed_error(text: str) -> None:
    Path("countermark.toml").write_text(text)
    with pytest.raises(SettingsInvalid, match="nested"):
        load_settings()


def test_a_byte_order_mark_is_no_fault() -> None:
    Path("countermark.toml").write_bytes(b"\xef\xbb\xbftenant = 'acme'\r\n")
    assert load_settings().settings.tenant == "acme"


@pytest.mark.parametrize("name", ["home", "policy", "credentials.chain", "safety.prompt.terms"])
def test_an_empty_path_is_not_the_working_folder(name: str) -> None:
    variable = "COUNTERMARK_" + name.upper().replace(".", "__")
    with pytest.raises(SettingsInvalid, match=rf"environment {variable}: {name}: .*the path is empty"):
        load_settings({}, {variable: ""})


def test_a_tilde_is_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("countermark.toml").write_text('home = "~/cm"\nobjects = "~/kept"\n[credentials]\nanchors = "~/anchors.pem"\n')
    settings = load_settings({}, {"COUNTERMARK_POLICY": "~/policy.yaml"}).settings
    assert (settings.home, settings.objects) == (tmp_path / "cm", str(tmp_path / "kept"))
    assert (settings.policy, settings.credentials.anchors) == (tmp_path / "policy.yaml", tmp_path / "anchors.pem")
    with pytest.raises(SettingsInvalid, match="'~' leads nowhere"):
        load_settings({"home": "~nobody-of-that-name/cm"}, {})
