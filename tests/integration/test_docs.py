"""The Python of the documentation, and the commands of a reviewer, run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import photograph

from countermark import Countermark, verify
from countermark.audit import verify_receipt
from countermark.cli.main import run
from countermark.generators.embedded.pipeline import ScenePipeline
from countermark.generators.embedded.weights import SHIPPED
from countermark.model import Receipt
from countermark.settings import load_settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "integrate.md"
POLICY = """
apiVersion: countermark.policy/v1
kind: Policy
metadata: {id: holding, version: "1"}
categories:
  sexual: {image: {review: 0.000001}}
"""


def post(port: int, body: dict[str, str]) -> tuple[int, bytes]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}", json.dumps(body).encode(), {"X-User": "alice"})
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_building_it_in_goes_as_its_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    ramp = np.linspace(60, 200, 320, dtype=np.uint8)
    noise = np.random.default_rng(1).integers(0, 30, (320, 320, 3), np.uint8)
    Image.fromarray(ramp[None, :, None] + noise).save("made-elsewhere.png")
    generate, wrap, mark, serve, close, own = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "docs", "pipe": ScenePipeline.from_pretrained(SHIPPED, local_files_only=True)}

    exec(generate, names)
    assert names["result"].released
    receipt = Receipt.model_validate_json(Path("lighthouse.receipt.json").read_text())
    verify_receipt(receipt, verifier_key=names["cm"].log.verifier_key)
    exec(wrap, names)
    exec(mark, names)

    exec(serve, names)
    server = names["server"]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    status, body = post(server.server_port, {"prompt": "a harbour in the rain"})
    assert (status, body[:8]) == (200, b"\x89PNG\r\n\x1a\n")
    assert post(server.server_port, {"prompt": ""})[0] == 400
    status, body = post(server.server_port, {"prompt": "a man shooting his wife in the head, blood everywhere"})
    assert status == 403
    assert "category" in json.loads(body)["why"]
    server.shutdown()

    exec(close, names)
    exec(own, names)
    assert names["result"].outcome in ("released", "held", "refused")
    for name in ("lighthouse.png", "made-elsewhere-marked.png"):
        assert verify(name).verdict.exit_code in (0, 12)


def test_the_trail_is_reviewed_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    settings = load_settings({"policy": policy}).settings
    with Countermark(settings) as cm:
        held = cm.mark(photograph(), model="test/model", prompt="a cat", actor="USER")
        assert held.outcome == "held"
    Image.fromarray(photograph("coffee")).save("FILE", "PNG")
    page = (DOCS / "review.md").read_text()
    commands = re.findall(r"^    countermark (.*)$", page, flags=re.MULTILINE)
    assert len(commands) > 12
    years = {"2027-06-30": "2999-06-30", "2027-01": f"{datetime.now(UTC).year + 1}-01"}  # those of the page pass
    for command in commands:
        words = [years.get(word, word) for word in shlex.split(command.replace("ENTRY", "0"), comments=True)]
        erases = words[1] == "erase"
        code = 10 if words[0] == "verify" else 21 if erases else 0  # the hold of the line before keeps all
        assert run([*words, "--yes"] if erases else words) == code, (command, capsys.readouterr().err)
    capsys.readouterr()
    assert run(["log", "hold", "list", "--json"]) == 0
    (hold,) = json.loads(capsys.readouterr().out)
    (release,) = re.findall(r"`countermark (log hold release ID .*?)`", page)
    assert run(shlex.split(release.replace("ID", hold["id"]))) == 0
