"""What the pipeline is built from, and what it gives back."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from numpy import uint8
from numpy.typing import NDArray

from countermark.credentials import Credentials
from countermark.errors import OutputUnwritable
from countermark.files import write_new
from countermark.imaging import media_type_for, suffix_for
from countermark.model import ActorRef, Asset, Decision, Finding, MediaType, ModelRef, Outcome, Receipt
from countermark.objects import ObjectStore
from countermark.policy import Policy
from countermark.safety.interface import ImageClassifier, PromptClassifier
from countermark.watermark.interface import Watermark

if TYPE_CHECKING:
    from PIL.Image import Image

    from countermark.audit import AuditLog
    from countermark.generators import Watch
    from countermark.pipeline.early import EarlyCheck


class Generate(Protocol):
    """A generation core, called once the prompt has passed: returns RGB uint8 H×W×3 images and plain notices."""

    @property
    def model(self) -> ModelRef:
        """Which model answers."""

    def __call__(
        self, watch: Watch | None = None, /
    ) -> tuple[Sequence[NDArray[uint8]], dict[str, str], tuple[str, ...]]:
        """Images, the parameters that were used, notices.

        Args:
            watch: to be shown previews of the run; given only where :attr:`Parts.early` asks for it.
        """


@dataclass(frozen=True)
class Parts:
    """Every room that the pipeline passes through, chosen by ``compose``.

    ``rehearse`` says whether the watermark is expected to outlive a crop, and so is tried on one before release;
    ``early`` whether runs are looked at on their way.
    """

    prompt_safety: PromptClassifier
    image_safety: ImageClassifier
    policy: Policy
    watermark: Watermark
    fingerprint: Callable[[NDArray[uint8]], str]
    credentials: Credentials
    log: AuditLog
    objects: ObjectStore
    pseudonym: Callable[[str], ActorRef | None]
    source: str
    media_type: MediaType = "image/png"
    quality: int = 92
    rehearse: bool = False
    early: EarlyCheck | None = None


ResultOutcome = Literal["released", "held", "refused"]


@dataclass(frozen=True)
class Result:
    """What became of one attempt.

    ``data`` holds the released file's bytes with every mark in it; it is ``None`` unless the outcome is ``released``.
    """

    outcome: ResultOutcome
    decision: Decision
    findings: tuple[Finding, ...] = field(repr=False)
    event_id: str
    index: int
    receipt: Receipt = field(repr=False)
    asset: Asset | None = None
    data: bytes | None = field(default=None, repr=False)
    record_id: int | None = None
    notices: tuple[str, ...] = ()
    latency_us: dict[str, int] = field(default_factory=dict)

    @property
    def released(self) -> bool:
        """Whether there is an image."""
        return self.outcome == "released"

    @property
    def image(self) -> Image | None:
        """The released image as Pillow sees it. It carries the watermark; saving it again drops the manifest."""
        if self.data is None:
            return None
        from PIL import Image

        return Image.open(io.BytesIO(self.data))

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the released file, manifest and all, never over an existing one unless told.

        Its format is that of :attr:`asset`: signature and record bind these very bytes, so another suffix does not
        convert them.

        Raises:
            ValueError: there is nothing to save, because the attempt was not released.
            OutputUnwritable: the file cannot be written, or its name ends as one of another format.
        """
        if self.data is None:
            raise ValueError(f"nothing to save: the attempt was {self.outcome} ({self.decision.sentence})")
        target = Path(path)
        if not target.name or target.is_dir():
            raise OutputUnwritable(f"{path} is a folder.", remedy="Name the file in it.")
        if self.asset is not None and _suffix_of_another_format(target, self.asset.media_type):
            raise OutputUnwritable(
                f"{target.name} ends as another format than that of the file, which is {self.asset.media_type}.",
                remedy=f"End the name in {suffix_for(self.asset.media_type)}, or set output.format before releasing.",
            )
        write_new(target, self.data, overwrite=overwrite)
        return target

    @property
    def exit_code(self) -> int:
        """The exit code of ``generate`` and ``mark``: 0 released, 20 refused, 21 held."""
        return {"released": 0, "refused": 20, "held": 21}[self.outcome]


def _suffix_of_another_format(path: Path, media_type: str) -> bool:
    """Whether a name promises another format; an unknown suffix, or none, promises nothing."""
    try:
        return media_type_for(path) != media_type
    except OutputUnwritable:
        return path.suffix.lower() in (".gif", ".tif", ".tiff")


STRICTER: dict[Outcome, ResultOutcome] = {Outcome.BLOCK: "refused", Outcome.REVIEW: "held"}
"""What a stopping decision makes of an attempt."""
