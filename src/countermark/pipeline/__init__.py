"""The first corridor: from a request to a released image, or to a recorded refusal."""

from __future__ import annotations

from countermark.pipeline.context import Parts, Result
from countermark.pipeline.early import EarlyCheck
from countermark.pipeline.run import Pipeline, check_prompt

__all__ = ["EarlyCheck", "Parts", "Pipeline", "Result", "check_prompt"]
