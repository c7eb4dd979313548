"""The shipped weights and their digests: nothing is loaded before every file has been found unaltered."""

from __future__ import annotations

import json
from pathlib import Path

from countermark.errors import WeightsMismatch, WeightsMissing
from countermark.generators.weights import combined_digest, file_digest

SHIPPED = Path(__file__).resolve().parent / "weights"
DIGESTS = "digest.json"
_COUNTED = (".safetensors", ".json")


def measured_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that the model is loaded from, by its path in the folder."""
    paths = [path for path in folder.rglob("*") if path.suffix in _COUNTED and path.name != DIGESTS]
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(paths)}


def write_digests(folder: Path) -> str:
    """Write `digest.json` for a folder of weights; returns the combined digest."""
    files = measured_digests(folder)
    combined = combined_digest(files)
    (folder / DIGESTS).write_text(json.dumps({"digest": combined, "files": files}, indent=2) + "\n", encoding="utf-8")
    return combined


def verified_digest(folder: Path) -> str:
    """Check every file of a folder against `digest.json`; returns the combined digest.

    Raises:
        WeightsMissing: the list or a listed file is not there.
        WeightsMismatch: a file differs from the list, or is not on it.
    """
    try:
        listed = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        expected, combined = dict(listed["files"]), str(listed["digest"])
    except FileNotFoundError:
        raise WeightsMissing(f"The embedded generator's weights are not complete: {DIGESTS} is missing.") from None
    except (ValueError, KeyError, TypeError):
        raise WeightsMismatch(f"The embedded generator's {DIGESTS} cannot be read.") from None
    found = measured_digests(folder)
    if absent := sorted(expected.keys() - found.keys()):
        raise WeightsMissing(f"The embedded generator's weights are not complete: {absent[0]} is missing.")
    if extra := sorted(found.keys() - expected.keys()):
        raise WeightsMismatch(f"The embedded generator's weights hold a file that is not on their list: {extra[0]}.")
    if changed := sorted(path for path in expected if found[path] != expected[path]):
        raise WeightsMismatch(f"The embedded generator's weights were changed: {changed[0]} has another digest.")
    if combined_digest(found) != combined:
        raise WeightsMismatch(f"The combined digest in the embedded generator's {DIGESTS} is wrong.")
    return combined
