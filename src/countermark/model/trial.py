"""What an entry of the log says of a trial of the checks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from countermark.model.base import Frozen, Sha256Hex
from countermark.model.finding import DetectorRef


class RedTeamRecord(Frozen):
    """Prompts meant to get through the checks, and how many did. Which prompts these were is not kept.

    ``result_sha256`` is of the signed result's report in canonical JSON. ``stages`` says how far the trial went: what
    ``passed`` got through all of these. ``not_run`` counts prompts that are refused before any check (empty, too long)
    and those for which the generator failed.
    """

    result_sha256: Sha256Hex
    stages: tuple[Literal["prompt", "image"], ...]
    detectors: tuple[DetectorRef, ...]
    prompts: int = Field(ge=0)
    stopped_by_prompt: int = Field(ge=0)
    stopped_by_image: int = Field(ge=0)
    not_run: int = Field(ge=0)
    passed: int = Field(ge=0)
