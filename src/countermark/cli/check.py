"""``countermark check``: findings and decision; nothing is generated, nothing is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.output import common, console, literal, load, print_json, table

if TYPE_CHECKING:
    from countermark.model import Decision, Finding
    from countermark.policy import Policy

_EXIT = {"allow": 0, "block": 20, "review": 21, "redact": 21}


@click.command("check")
@click.option("--prompt", help="One prompt.")
@click.option("--image", type=click.Path(path_type=Path), help="One image.")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="A JSON-lines file with a 'text' or 'prompt' field, a .txt file of lines, or a folder of such files.",
)
@click.option("--images", type=click.Path(path_type=Path), help="A folder of images.")
@click.option("--policy", type=click.Path(path_type=Path), help="A policy file (default: that of the settings).")
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
    """Assess a prompt, an image, a file of prompts or a folder of images; nothing is generated or recorded.

    One prompt, one image, or an image with the prompt it was made from: exit code 0 allowed, 20 blocked, 21 to be
    reviewed or redacted. A file or folder: 0 once all are assessed, whatever the outcome; 2 if some could not be read
    or are no prompts or images, pipes and links to folders among them, which are not followed. Each of these gets an
    error line of its own and the run goes on; how many files of a folder are named as neither is told. With --json each
    line names its file, and the line in a file of prompts.
    """
    one = prompt is not None or image is not None
    if one + (prompts is not None) + (images is not None) != 1:
        raise click.UsageError("Give --prompt, --image or both, or one of --prompts and --images.")
    from countermark.compose import check, default_image_safety, default_prompt_safety
    from countermark.policy import load_policy

    loaded = load(home=home, policy=policy)
    rules = load_policy(loaded.settings.policy)
    if one:
        findings, decision = check(rules, prompt=prompt, image=image, settings=loaded.settings)
        if as_json:
            print_json(check_dict(findings, decision))
        else:
            _show(findings, decision, rules)
        return _EXIT[decision.outcome]
    from countermark.cli.check_many import check_each, images_in, prompts_in

    if prompts is not None:
        prompt_safety = default_prompt_safety(loaded.settings)
        return check_each(
            prompts_in(prompts),
            lambda item: check(rules, prompt=item.text, prompt_safety=prompt_safety),
            check_dict,
            as_json=as_json,
        )
    assert images is not None
    image_safety = default_image_safety(loaded.settings)
    return check_each(
        images_in(images),
        lambda item: check(rules, image=item.file, image_safety=image_safety),
        check_dict,
        as_json=as_json,
    )


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


def _show(findings: tuple[Finding, ...], decision: Decision, policy: Policy) -> None:
    from countermark.cli.show import WARN, decision_line

    rows = table("category", "state", "score", "severity", "said by")
    for f in sorted(findings, key=lambda f: -1 if f.score is None else f.score, reverse=True):
        score = "" if f.score is None else f"{f.score:.3f}"
        severity = "" if f.score is None else str(f.severity)
        rows.add_row(f.category, f.state.replace("_", " "), score, severity, literal(f.reason or f.detector.id))
    console().print(rows)
    console().print(decision_line(decision))
    for reason in decision.reasons:
        console().print(f"    [dim]{literal(reason)}[/]")
    for category, stage in sorted({(f.category, f.stage) for f in findings if f.severity}):
        stages = policy.categories.get(category)
        if stages is None or stages.of(stage) is None:
            console().print(
                f"{WARN} {category} was found in the {stage}; policy does not name it there, so it stops nothing"
            )
