"""The Python of the documentation, run as it stands."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from countermark import verify
from countermark.audit import verify_receipt
from countermark.generators.embedded.pipeline import ScenePipeline
from countermark.generators.embedded.weights import SHIPPED
from countermark.model import Receipt

PAGE = Path(__file__).parents[2] / "docs" / "integrate.md"


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
