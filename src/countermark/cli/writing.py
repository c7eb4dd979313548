"""Where released files go: checked before anything is generated, so that no image is made and then lost."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from countermark.cli.output import console, print_json
from countermark.errors import OutputUnwritable

if TYPE_CHECKING:
    from countermark.model import MediaType
    from countermark.pipeline import Result


@dataclass(frozen=True)
class Target:
    """Where a result is to be written; ``path`` is ``None`` where a name is still to be made from the event."""

    path: Path | None
    folder: Path
    force: bool

    @property
    def format(self) -> MediaType | None:
        """The media type that the name asks for."""
        from countermark.imaging import media_type_for

        return media_type_for(self.path) if self.path else None


def plan_output(output: Path | None, *, force: bool = False) -> Target:
    """Check that the output can be written, before any work.

    Raises:
        OutputUnwritable: the folder is missing or closed, or the file exists.
    """
    folder = Path() if output is None else output if output.is_dir() else output.parent
    if output == folder:
        output = None
    if not folder.is_dir():
        raise OutputUnwritable(f"The folder {folder} does not exist.", remedy=f"Make it first: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise OutputUnwritable(f"The folder {folder.resolve()} cannot be written.")
    if output is not None and os.path.lexists(output) and not force:  # a link that leads nowhere is there, too
        raise OutputUnwritable(f"{output} exists already.", remedy="Choose another name, or add --force.")
    return Target(output, folder, force)


def finish(result: Result, target: Target, *, store: str, as_json: bool) -> int:
    """Write the file, say what became of the attempt, and give the exit code; ``store`` is where objects are kept."""
    from countermark.cli.show import result_dict, result_lines

    path = release(result, target, store=store)
    if as_json:
        print_json(result_dict(result, path))
    else:
        for line in result_lines(result, path):
            console().print(line)
    return result.exit_code


def release(result: Result, target: Target, *, store: str) -> str | None:
    """Write a released result; returns the path. The store keeps the bytes too, so a full disk here loses nothing.

    Raises:
        OutputUnwritable: it cannot be written; the remedy says where it is kept.
    """
    if result.asset is None:
        return None
    from countermark.imaging import suffix_for
    from countermark.objects import object_key

    path = target.path or target.folder / f"countermark-{result.event_id[:12]}{suffix_for(result.asset.media_type)}"
    try:
        result.save(path, overwrite=target.force)
    except OutputUnwritable as error:
        kept = f"{store.rstrip('/')}/{object_key('released', result.asset.sha256)}"
        raise OutputUnwritable(
            f"{error.message} The image is released and recorded as entry {result.index}.",
            remedy=f"Nothing is lost: copy the file from where it is kept: {kept}",
        ) from error
    return str(path)
