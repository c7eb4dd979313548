from __future__ import annotations

import pytest

from countermark.observe import configure, get_logger, redact

SECRET = "a picture of someone's private thoughts"


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_prompt_reaches_the_log(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="debug", style=style)  # type: ignore[arg-type]
    log = get_logger("test")
    log.info("happened", prompt=SECRET, user_prompt=SECRET, nested={"deep": [{"negative_prompt": SECRET}]}, stage="x")
    log.bind(prompt=SECRET).warning("bound")
    err = capsys.readouterr().err
    assert SECRET not in err
    assert "[redacted]" in err
    assert "stage" in err


def test_redaction_stops_at_endless_nesting() -> None:
    nested: dict[str, object] = {"prompt": SECRET}
    for _ in range(50):
        nested = {"inner": nested}
    assert SECRET not in repr(redact(None, "info", {"event": "e", **nested}))
