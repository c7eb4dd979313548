"""``countermark policy``: check policy files."""

from __future__ import annotations

from pathlib import Path

import click

from countermark.cli.output import common, console, literal, load, print_json


@click.group("policy")
def command() -> None:
    """Check policy files.

    \b
    countermark policy check                          the policy in force
    countermark policy check policy.yaml --json
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@common
def check(file: Path | None, as_json: bool, home: Path | None) -> int:
    """Validate FILE (default: the policy in force); every fault is named as file:line:column."""
    from countermark.model import Stage
    from countermark.policy import load_policy

    policy = load_policy(file or load(home=home).settings.policy)
    if as_json:
        print_json(policy.ref.model_dump() | {"categories": sorted(policy.categories)})
        return 0
    ref = policy.ref
    console().print(f"[green]✓[/] policy {literal(ref.id)} {literal(ref.version)}, sha256 {ref.digest}")
    for category, stages in policy.categories.items():
        for stage in Stage:
            band = stages.of(stage)
            if band is not None:
                silent = policy.on_silence(band)
                told = band.model_dump(exclude_none=True, exclude={"on_not_assessed"}, exclude_defaults=True)
                console().print(f"    {category} in the {stage}: {told}, not assessed: {silent}")
    for stage in Stage:
        if not any(stages.of(stage) for stages in policy.categories.values()):
            console().print(f"[yellow]![/] no category is named in the {stage}, so no {stage} is ever stopped")
    return 0
