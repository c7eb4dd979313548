"""``countermark mark``: check and mark an image that something else generated."""

from __future__ import annotations

from pathlib import Path

import click

from countermark.cli.output import common, load, status


@click.command("mark")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: FILE with -marked).")
@click.option("--prompt", default="", help="What it was made from; checked, and recorded encrypted.")
@click.option("--model", default="unknown", show_default=True, help="What made it.")
@click.option(
    "--parent",
    type=click.Path(path_type=Path),
    help="The image that it was made from; needed where FILE carries our mark.",
)
@click.option("--policy", type=click.Path(path_type=Path), help="A policy file (default: that of the settings).")
@click.option("--tenant", help="Whose image it is (default: that of the settings).")
@click.option("--actor", default="", help="Who asks; recorded as a keyed pseudonym, never as given.")
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
@common
def command(
    *,
    file: Path,
    output: Path | None,
    prompt: str,
    model: str,
    parent: Path | None,
    policy: Path | None,
    tenant: str | None,
    actor: str,
    force: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Check and mark FILE, which something else made. It is never written over.

    \b
    countermark mark photo.png --model vendor/model-3 --prompt "a green boat"
    countermark mark edited.png --parent boat.png -o boat-2.png

    Exit codes: 0 released, 20 refused by policy, 21 held for review.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
    from countermark.cli.writing import finish, plan_output
    from countermark.compose import Countermark, to_raster
    from countermark.errors import OutputUnwritable
    from countermark.imaging import ENCODABLE

    raster = to_raster(file)
    suffix = file.suffix.lower() if file.suffix.lower() in ENCODABLE else ".png"
    wanted = output or file.with_name(f"{file.stem}-marked{suffix}")
    if wanted.exists() and wanted.samefile(file):
        raise OutputUnwritable("The output is the input; the original must stay as it was.", remedy="Name another -o.")
    target = plan_output(wanted, force=force)
    loaded = load(**{"home": home, "policy": policy, "tenant": tenant, "output.format": target.format})
    with Countermark(loaded.settings) as cm, status("Checking and marking"):
        result = cm.mark(raster, model=model, prompt=prompt, parent=parent, actor=actor)
    return finish(result, target, store=cm.parts.objects.url, as_json=as_json)
