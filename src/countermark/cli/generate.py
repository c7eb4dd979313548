"""``countermark generate``: one checked, marked and recorded image."""

from __future__ import annotations

from pathlib import Path

import click

from countermark.cli.output import Integer, common, load, progress


@click.command("generate")
@click.argument("prompt")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: a new name here).")
@click.option("--seed", type=Integer(0, 2**63 - 1), help="Same seed, same pixels.")
@click.option("--model", help="'embedded', or a diffusers pipeline by local path or hub id.")
@click.option("--policy", type=click.Path(path_type=Path), help="A policy file (default: the shipped one).")
@click.option("--tenant", help="Whose image it is.")
@click.option("--actor", default="", help="Who asks; recorded as a keyed pseudonym, never as given.")
@click.option("--negative-prompt", default="", help="What not to draw.")
@click.option("--width", type=int)
@click.option("--height", type=int)
@click.option("--steps", type=int, help="Denoising steps.")
@click.option("--guidance", type=float, help="Classifier-free guidance scale.")
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
@common
def command(
    *,
    prompt: str,
    output: Path | None,
    policy: Path | None,
    tenant: str | None,
    model: str | None,
    actor: str,
    negative_prompt: str,
    seed: int | None,
    width: int | None,
    height: int | None,
    steps: int | None,
    guidance: float | None,
    force: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Generate one checked, marked and recorded image from PROMPT.

    Exit codes: 0 released, 20 refused by policy, 21 held for review.
    """
    from countermark.cli.writing import finish, plan_output
    from countermark.compose import Countermark

    target = plan_output(output, force=force)
    flags = {"home": home, "policy": policy, "tenant": tenant, "generator.model": model, "output.format": target.format}
    loaded = load(**flags)
    with Countermark(loaded.settings) as cm, progress("Generating") as on_step:
        result = cm.generate(
            prompt,
            on_step=on_step,
            seed=seed,
            width=width,
            height=height,
            steps=steps,
            guidance=guidance,
            actor=actor,
            negative_prompt=negative_prompt,
        )
    return finish(result, target, as_json=as_json)
