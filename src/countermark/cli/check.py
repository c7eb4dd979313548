"""``countermark check``: findings and decision; nothing is generated, nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.output import common, console, load, print_json, print_json_line, progress
from countermark.errors import CountermarkError, NotFound, UsageError

if TYPE_CHECKING:
    from countermark.model import Decision, Finding

MAX_PROMPTS_BYTES = 256 * 2**20
_EXIT = {"allow": 0, "block": 20, "review": 21, "redact": 21}


@click.command("check")
@click.option("--prompt", help="One prompt.")
@click.option("--image", type=click.Path(path_type=Path), help="One image.")
@click.option("--prompts", type=click.Path(path_type=Path), help="A JSON-lines file with a 'text' or 'prompt' field.")
@click.option("--images", type=click.Path(path_type=Path), help="A folder of images.")
@click.option("--policy", type=click.Path(path_type=Path), help="A policy file (default: the shipped one).")
@common
def command(
    *,
    prompt: str | None,
    image: Path | None,
    prompts: Path | None,
    images: Path | None,
    policy: Path | None,
    as_json: bool,
    home: Path | None,
) -> int:
    """Assess a prompt, an image, a file of prompts or a folder of images.

    One prompt or image: exit code 0 allowed, 20 blocked, 21 to be reviewed. A file or folder: 0 once all are assessed.
    """
    if sum(given is not None for given in (prompt, image, prompts, images)) != 1:
        raise click.UsageError("Give exactly one of --prompt, --image, --prompts and --images.")
    from countermark.compose import check, default_image_safety, default_prompt_safety
    from countermark.policy import load_policy

    loaded = load(home=home, policy=policy)
    rules = load_policy(loaded.settings.policy)
    if prompt is not None or image is not None:
        findings, decision = check(rules, prompt=prompt, image=image)
        if as_json:
            print_json(check_dict(findings, decision))
        else:
            _show(findings, decision)
        return _EXIT[decision.outcome]
    if prompts is not None:
        prompt_safety = default_prompt_safety()
        return _each(
            list(_read_prompts(prompts)),
            lambda p: check(rules, prompt=p, prompt_safety=prompt_safety),
            as_json,
            "prompt",
        )
    assert images is not None
    image_safety = default_image_safety()
    return _each(_list_images(images), lambda i: check(rules, image=i, image_safety=image_safety), as_json, "image")


def check_dict(findings: tuple[Finding, ...], decision: Decision) -> dict[str, Any]:
    """The ``countermark.check/1`` object."""
    from countermark.cli.show import decision_dict, finding_dict

    risk = max((f.score for f in findings if f.score is not None), default=0.0)
    return {
        "schema": "countermark.check/1",
        "risk": risk,
        "findings": [finding_dict(f) for f in findings],
        "decision": decision_dict(decision),
    }


def _show(findings: tuple[Finding, ...], decision: Decision) -> None:
    from rich.markup import escape
    from rich.table import Table

    from countermark.cli.show import decision_line

    table = Table("category", "state", "score", "severity", "said by", box=None, pad_edge=False)
    for f in sorted(findings, key=lambda f: -1 if f.score is None else f.score, reverse=True):
        score = "" if f.score is None else f"{f.score:.3f}"
        severity = "" if f.score is None else str(f.severity)
        table.add_row(f.category, f.state.replace("_", " "), score, severity, escape(f.reason or f.detector.id))
    console().print(table)
    console().print(decision_line(decision))
    for reason in decision.reasons:
        console().print(f"    [dim]{escape(reason)}[/]")


def _each(items: list[Any], look: Callable[[Any], tuple[Any, Any]], as_json: bool, what: str) -> int:
    """Assess every item in order; one JSON line each, or a count by outcome."""
    counts: dict[str, int] = {}
    with progress(f"Checking {what}s", len(items)) as advance:
        for number, item in enumerate(items):
            try:
                findings, decision = look(item)
                line: dict[str, Any] = check_dict(findings, decision)
                outcome = str(decision.outcome)
            except CountermarkError as error:
                line = {"schema": "countermark.error/1", "error": error.to_dict()}
                outcome = f"error: {error.code}"
            counts[outcome] = counts.get(outcome, 0) + 1
            if as_json:
                if what == "image":
                    line["file"] = str(item)
                print_json_line(line)
            advance(number + 1, len(items))
    if not as_json:
        for outcome, count in sorted(counts.items()):
            console().print(f"{outcome:>10}  {count}")
    return 0


def _read_prompts(path: Path) -> Iterator[str]:
    import orjson

    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    if path.stat().st_size > MAX_PROMPTS_BYTES:
        raise UsageError(f"{path} is larger than {MAX_PROMPTS_BYTES // 2**20} MiB.", remedy="Split it.")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
                text = row if isinstance(row, str) else row.get("text", row.get("prompt"))
            except (orjson.JSONDecodeError, AttributeError) as error:
                raise UsageError(
                    f"{path}:{number}: not a JSON object: {error}.", remedy="One JSON object a line."
                ) from error
            if not isinstance(text, str):
                raise UsageError(f"{path}:{number}: no 'text' or 'prompt' field.", remedy='{"text": "a prompt"}')
            yield text


def _list_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.")
    endings = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff"}
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings and p.is_file())
