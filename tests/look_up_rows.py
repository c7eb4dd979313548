"""Events in all variety that look-ups know of, and what may be asked of them."""

from __future__ import annotations

import random
from typing import Any

from countermark.audit.query import Filter
from countermark.audit.stores.postings import BLOCK

ENTRIES = 2 * BLOCK + 700
LONG_WORD = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=5000))
"""Longer than a key of PostgreSQL may be, even compressed."""
WORDS = ["violence", "graphic", "Größe", "under_score", "100%", "the", LONG_WORD]


def document(number: int, dice: random.Random) -> dict[str, Any]:
    """The indexed part of an event."""
    made: dict[str, Any] = {
        "event_id": f"{number:032x}",
        # Mostly in order, as clocks of several writers are.
        "time": f"2026-{1 + number // 1000:02d}-{1 + dice.randrange(28):02d}T00:00:00.000Z",
        "type": dice.choice(["generation.released", "generation.refused"]),
        "tenant": dice.choice(["a", "b", "tenant=a", "ä"]),
        "attempt": f"attempt {number // 2}",
    }
    if dice.random() < 0.7:
        made["output"] = {
            "sha256": f"{dice.randrange(4000):x}",
            "watermark_payload": "ä" if number % 1000 == 7 else "b",
        }
    if dice.random() < 0.8:
        made |= {"model": {"id": dice.choice("xy")}, "policy": {"id": dice.choice(["p", "pp"]), "version": "1"}}
        made |= {"actor": {"pseudonym": str(dice.randrange(50))}, "decision": dice.choice(["allow", "block"])}
    if dice.random() < 0.3:
        made["reasons"] = [" ".join(dice.sample(WORDS, 2)), dice.choice(WORDS)]
        made["checks"] = [{"category": c, "severity": dice.choice([0, 4])} for c in ("violence", "hate")]
    return made


def documents() -> list[dict[str, Any]]:
    """:data:`ENTRIES` of them, ever the same."""
    dice = random.Random(7)
    return [document(number, dice) for number in range(ENTRIES)]


CHOICES: dict[str, list[Any]] = {
    "type": ["generation.released", "generation.refused", "nothing"],
    "tenant": ["a", "tenant=a", "ä", "c"],
    "actor": ["3", "49", "50"],
    "decision": ["allow", "block"],
    "category": ["violence", "hate", "violence "],
    "model": ["x", "z"],
    "policy": ["p", "p@1", "pp", "p@2"],
    "text": [
        "violence",
        "GRAPHIC violence",
        "größe",
        "under score",
        "under_score",
        "100",
        "vio",
        LONG_WORD,
        LONG_WORD[:-1],
    ],
    "since": ["2026-01-15", "2026-04", "2027"],
    "until": ["2026-05", "2026-08-20T00:00:00.000Z", "2025"],
    "before": [0, 1, BLOCK, BLOCK + 1, 5000, ENTRIES, 10**6],
    "attempt": ["attempt 0", f"attempt {BLOCK // 2}", f"attempt {ENTRIES // 2 - 1}", "attempt"],
    "output_sha256": ["7", "fff", "0", "g"],
    "manifest_sha256": ["7"],
    "watermark_payload": ["ä", "b"],
    "event_id": [f"{number:032x}" for number in (0, 5000, ENTRIES - 1, ENTRIES)],
}
"""Values that occur and values that do not, by filter."""


def asked(seed: int) -> Filter:
    """One to four conditions."""
    dice = random.Random(seed)
    return Filter(**{name: dice.choice(CHOICES[name]) for name in dice.sample(sorted(CHOICES), dice.randint(1, 4))})
