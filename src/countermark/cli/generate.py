"""``countermark generate``: one checked, marked and recorded image."""

from __future__ import annotations

from pathlib import Path

import click

from countermark.cli.output import Integer, common, load, progress


@click.command("generate")
@click.argument("prompt")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A file or folder; .png, .jpg, .webp, .avif (default: a new name here).",
)
@click.option("--seed", type=Integer(0, 2**63 - 1), help="Same seed, same pixels (default: another each time).")
@click.option(
    "--model", help="'embedded', or a diffusers pipeline by local path or hub id (default: that of the settings)."
)
@click.option("--policy", type=click.Path(path_type=Path), help="A policy file (default: that of the settings).")
@click.option("--tenant", help="Whose image it is (default: that of the settings).")
@click.option("--actor", default="", help="Who asks; recorded as a keyed pseudonym, never as given.")
@click.option("--negative-prompt", default="", help="What not to draw.")
@click.option("--width", type=int, help="In pixels (default: the model's own).")
@click.option("--height", type=int, help="In pixels (default: the model's own).")
@click.option("--steps", type=int, help="Denoising steps (default: the model's own).")
@click.option("--guidance", type=float, help="Classifier-free guidance scale (default: the model's own).")
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

    \b
    countermark generate "a green boat on the sea at night" -o boat.png
    countermark generate "a green boat" --seed 7 --actor alice@example.org --json
    countermark generate "a green boat" --model /models/sdxl --width 1024 --height 768

    Exit codes: 0 released, 20 refused by policy, 21 held for review.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
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
    return finish(result, target, store=cm.parts.objects.url, as_json=as_json)
