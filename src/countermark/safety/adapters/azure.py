"""Azure AI Content Safety, for prompts and for images.

Request and answer as in Microsoft's REST reference, Analyze Text and Analyze Image, api-version 2024-09-01: four
categories, each with a severity of 0, 2, 4 or 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from countermark.keys import resolve_token
from countermark.model import Category, DetectorRef, Severity
from countermark.safety.adapters.http import JsonService
from countermark.safety.adapters.opinion import Answer, CouldNotLook, ImageOpinion, PromptOpinion, Said
from countermark.safety.adapters.pictures import as_jpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from countermark.safety.adapters.options import AzureOptions

API_VERSION: Final = "2024-09-01"
NAMES: Final = {
    "Hate": Category.HATE,
    "SelfHarm": Category.SELF_HARM,
    "Sexual": Category.SEXUAL,
    "Violence": Category.VIOLENCE,
}
"""The service's categories in ours."""

SCORES: Final[dict[Severity, float]] = {0: 0.0, 2: 0.5, 4: 0.7, 6: 0.95}
"""The service gives no scores: these are ours at which its severities begin (6 well inside)."""

_OVERLOOKED: Final = 0.3
"""The score of a severity that the settings count as 0."""
_SMALLEST_SIDE: Final = 50  # of images that the service takes


class _Analysis:
    """The exchange, the same for both stages."""

    def __init__(self, options: AzureOptions, what: str) -> None:
        self._options = options
        self._service = JsonService(options.url, timeout=options.timeout)
        self._path = f"/contentsafety/{what}:analyze?api-version={API_VERSION}"
        self.detector = DetectorRef(id=f"azure.content-safety-{what}", version=API_VERSION)

    def load(self) -> None:
        resolve_token(self._options.key)

    def ask(self, given: dict[str, Any]) -> Answer:
        headers = {"Ocp-Apim-Subscription-Key": resolve_token(self._options.key)}
        body = {**given, "categories": list(NAMES), "outputType": "FourSeverityLevels"}
        rows = self._service.post(self._path, body, headers).get("categoriesAnalysis")
        if not isinstance(rows, list) or len(rows) > 100:
            raise CouldNotLook("gave no analysis by category")
        said: dict[Category, Said | CouldNotLook] = {}
        for row in rows:
            category = NAMES.get(str(row.get("category"))) if isinstance(row, dict) else None
            if category is not None:
                said[category] = CouldNotLook("answered twice") if category in said else self._said(row.get("severity"))
        return said

    def _said(self, severity: object) -> Said | CouldNotLook:
        for known in SCORES:
            if isinstance(severity, int) and not isinstance(severity, bool) and severity == known:
                if 0 < known < self._options.least:
                    return Said(_OVERLOOKED, 0, f"severity {known}, below {self._options.least}")
                return Said(SCORES[known], known, f"severity {known}")
        return CouldNotLook("gave no severity of 0, 2, 4 or 6")


class AzurePromptSafety(PromptOpinion):
    """What Azure AI Content Safety says of a prompt, which is sent there as it is written."""

    def __init__(self, options: AzureOptions) -> None:
        self._analysis = _Analysis(options, "text")
        super().__init__(self._analysis.detector, NAMES.values())

    def load(self) -> None:
        """Read the key; nothing is sent."""
        self._analysis.load()

    def _read(self, text: str) -> Answer:
        return self._analysis.ask({"text": text})


class AzureImageSafety(ImageOpinion):
    """What Azure AI Content Safety says of an image, which is sent there as a JPEG of some 1,024 pixels a side."""

    def __init__(self, options: AzureOptions) -> None:
        self._analysis = _Analysis(options, "image")
        super().__init__(self._analysis.detector, NAMES.values())

    def load(self) -> None:
        """Read the key; nothing is sent."""
        self._analysis.load()

    def _see(self, pixels: NDArray[np.uint8]) -> Answer:
        return self._analysis.ask({"image": {"content": as_jpeg(pixels, shortest=_SMALLEST_SIDE)}})
