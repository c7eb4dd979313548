"""``countermark doctor`` finds what settings ask for and is not there, and changes nothing while it looks."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.unit.audit.witnessing import key, make_witness, serving
from tests.unit.credentials.conftest import Authority

from countermark.audit.witness import CosignatureSigner
from countermark.cli.diagnosis import Diagnosis
from countermark.cli.doctor import EXTRAS
from countermark.cli.doctor_elsewhere import generator, objects, witnesses
from countermark.cli.main import run
from countermark.errors import CredentialFailed, MissingExtra, SettingsInvalid
from countermark.settings import Settings, load_settings

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
EMPTY_BUCKET = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
    b"<Prefix/><KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)


def settings(**flags: object) -> Settings:
    return load_settings({name.replace("__", "."): value for name, value in flags.items()}).settings


def vkey(name: str) -> str:
    return CosignatureSigner(name, key(name)).verifier.vkey


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    code = run(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is (code == 0)
    return code, {check["name"]: (check["state"], check["detail"]) for check in told["checks"]}


def test_what_settings_name_and_is_not_there_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec
    lacking = {"nudenet", "imwatermark"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in lacking else find_spec(name))
    (tmp_path / "file").write_text("no folder")
    vkeys = [vkey("w.example/a"), vkey("w.example/b")]
    (tmp_path / "countermark.toml").write_text(
        f"""
        objects = "{tmp_path}/file/objects"
        generator.model = "/nope/x"
        watermark.backend = "imwatermark"
        safety.image.nudenet = true
        keys.master = "env://NOT_SET_ANYWHERE"
        credentials = {{chain = "/nope/chain.pem", key = "/nope/key.pem", anchors = "/nope/anchors.pem"}}
        [audit]
        url = "postgresql://nobody@127.0.0.1:1/log"
        signed = "postgresql://nobody@127.0.0.1:1/signed"
        witness_quorum = 1
        witnesses = [
          {{name = "w.example/a", url = "http://127.0.0.1:1", vkey = "{vkeys[0]}"}},
          {{name = "w.example/b", url = "http://127.0.0.1:1", vkey = "{vkeys[1]}"}},
        ]
        """
    )
    code, found = examined(capsys)
    assert code == 1
    failed = {name for name, (state, _) in found.items() if state == "failed"}
    assert failed >= {"generator", "watermark", "image models", "object store", "keys", "certificate", "anchors"}
    assert failed >= {"audit log", "signed heads", "witness w.example/a", "witness w.example/b"}
    assert found["extra nudenet"][0] == "absent"
    assert not Path(os.environ["COUNTERMARK_HOME"]).exists()


def test_a_policy_that_stops_everything_for_want_of_anybody_who_looks_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a matter of what is set up, which no look at the policy alone can say."""
    assert not any(name.startswith("policy on") for name in examined(capsys)[1]), "the shipped one does not"
    (tmp_path / "policy.yaml").write_text(
        """
        apiVersion: countermark.policy/v1
        kind: Policy
        metadata: {id: strict, version: "1"}
        categories:
          violence: {prompt: {block: 0.5}, image: {block: 0.5}}
          public_figure: {prompt: {block: 0.5}}
          text_in_image: {image: {block: 0.5}}
          hash_match: {image: {block: 0.5}}
          ncii: {prompt: {block: 0.5, on_not_assessed: allow}}
        """
    )
    (tmp_path / "countermark.toml").write_text(f'policy = "{tmp_path}/policy.yaml"\n')
    code, found = examined(capsys)
    assert code == 0
    state, said = found["policy on every prompt"]
    assert (state, "looks for public_figure in the prompt" in said) == ("warning", True)
    state, said = found["policy on every image"]
    assert (state, "looks for violence, text_in_image, hash_match in the image" in said) == ("warning", True)
    with (tmp_path / "countermark.toml").open("a") as more:
        more.write('safety.prompt.entities = ["public_figure"]\nsafety.image.text = true\n')
    found = examined(capsys)[1]
    assert "policy on every prompt" not in found
    assert "looks for violence, hash_match in the image" in found["policy on every image"][1]


def test_anchors_that_do_not_vouch_for_the_signing_chain_are_told(tmp_path: Path) -> None:
    from countermark.cli.doctor import _certificate

    authority = Authority()
    signer = authority.issue("Studio Signer")
    files = {
        "chain": signer.chain_pem,
        "key": signer.key_pem,
        "anchors": Authority("Another").pem,
        "root": authority.pem,
    }
    for name, pem in files.items():
        (tmp_path / f"{name}.pem").write_text(pem)
        (tmp_path / f"{name}.pem").chmod(0o600)
    named = {f"credentials__{name}": tmp_path / f"{name}.pem" for name in ("chain", "key", "anchors")}
    with pytest.raises(CredentialFailed, match="ends at none of the anchors"):
        _certificate(settings(**named))
    assert _certificate(settings(**{**named, "credentials__anchors": tmp_path / "root.pem"})).state == "ok"


def test_every_extra_that_a_user_may_want_is_known() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"dev", "training"}


def test_a_missing_key_beside_others_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from countermark.cli.doctor import _keys

    assert run(["keys", "init"]) == 0
    assert _keys(settings()).state == "ok"
    (Path(os.environ["COUNTERMARK_HOME"]) / "keys" / "pseudonym-00.key").unlink()
    assert _keys(settings()) == Diagnosis("keys", "warning", "missing: pseudonym", "countermark keys init")


def test_signed_heads_in_a_database_are_looked_at_and_not_made(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from countermark.cli.doctor import _signed_heads

    assert _signed_heads(settings(audit__url="postgresql://elsewhere/log", audit__signed=database)).state == "ok"
    with pytest.raises(SettingsInvalid, match="log in files"):
        _signed_heads(settings(audit__signed=database))


def test_words_in_images_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from countermark.cli.doctor_safety import _image_models

    monkeypatch.setattr("countermark.safety.text_in_image.installed", lambda: False)
    with pytest.raises(MissingExtra, match="ocr"):
        _image_models(settings(safety__image__text=True))


@pytest.mark.parametrize(
    ("model", "download", "state"),
    [
        ("/nope/x", True, "failed"),
        ("./nope", True, "failed"),
        ("no/such", False, "failed"),
        ("no/such", True, "warning"),
    ],
)
def test_a_generator_is_looked_for_and_never_fetched(
    model: str, download: bool, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (found,) = generator(settings(generator__model=model, generator__allow_download=download))
    assert found.state == state


def test_a_folder_of_a_pipeline_is_found(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (found,) = generator(settings(generator__model=str(tmp_path)))
    assert (found.state, "StableDiffusionPipeline" in found.detail) == ("ok", True)
    (tmp_path / "model_index.json").write_text('{"_class_name": "TheirOwnPipeline"}')
    (found,) = generator(settings(generator__model=str(tmp_path)))
    assert found.state == "failed"


@contextmanager
def bucket(status: int) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = EMPTY_BUCKET if status == 200 else b"<Error><Code>NoSuchBucket</Code></Error>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (403, "warning"), (404, "failed"), (None, "failed")])
def test_a_bucket_is_asked_once_whether_it_is_there(
    status: int | None, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with bucket(status or 200) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address if status else "http://127.0.0.1:1")
        (found,) = objects(settings(objects="s3://images/countermark"))
    assert (found.state, "Debug source" in found.detail) == (state, False)


def test_a_silent_witness_fails_where_the_quorum_needs_it(tmp_path: Path) -> None:
    with serving(make_witness(tmp_path, "w.example/a")) as server:
        addresses = {"w.example/a": server.url, "w.example/b": "http://127.0.0.1:1"}
        chosen = [{"name": name, "url": url, "vkey": vkey(name)} for name, url in addresses.items()]
        for quorum, expected in ((1, ["ok", "warning"]), (2, ["ok", "failed"])):
            found = witnesses(settings(audit__witnesses=chosen, audit__witness_quorum=quorum))
            assert [diagnosis.state for diagnosis in found] == expected
