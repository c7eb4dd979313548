"""The held-out rows as files that ``countermark bench safety`` reads, so that it has figures worth telling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from training.prompt_safety.calibrate import HeldOut
from training.prompt_safety.rows import Row

from countermark.safety.prompt_heads import HEAD_CATEGORIES

OFFENSIVE_WORDS = "ldnoobw_terms.jsonl"


def write(data: Path, out: Path, folder: Path) -> None:
    """One file for each source, ``SOURCE_held_out.jsonl``: prompts that neither fine-tuning nor calibration saw.

    The list of offensive words goes with them, for the peer that looks for nothing else.

    Args:
        data: where the prompt sets are.
        out: where the tables are.
        folder: where the files go.
    """
    folder.mkdir(exist_ok=True)
    held = HeldOut.load(out, "test")
    kinds = ((held.benign, 0, {}), (held.scary, 0, {"hard_negative": True}), (held.unsafe, 1, {}))
    files: dict[str, list[str]] = {}
    for rows, unsafe, meta in kinds:
        for row in rows:
            line = {"text": row.text, "labels": _labels(row, unsafe), "source": row.source, "lang": "en", "meta": meta}
            files.setdefault(row.source, []).append(json.dumps(line, ensure_ascii=False))
    for source, lines in files.items():
        (folder / f"{source}_held_out.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(data / OFFENSIVE_WORDS, folder / OFFENSIVE_WORDS)


def _labels(row: Row, unsafe: int) -> dict[str, int]:
    known = {HEAD_CATEGORIES[name]: value for name, value in row.targets.items() if name in HEAD_CATEGORIES}
    return {"unsafe": unsafe, **{str(name): int(value >= 0.5) for name, value in known.items()}}
