"""Builds a :class:`Countermark` from settings: the only place that names adapters."""

from __future__ import annotations

import hashlib
import hmac
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from numpy import uint8
from numpy.typing import NDArray
from pydantic import ValidationError

from countermark import imaging
from countermark.audit import AuditLog, NoteSigner
from countermark.credentials import (
    Anchors,
    Credentials,
    DevelopmentPki,
    Ingredient,
    SigningIdentity,
    load_identity,
)
from countermark.errors import KeyUnavailable, NotFound, OutputUnwritable, UsageError
from countermark.keys import KeyRing, Purpose
from countermark.model import (
    ActorRef,
    Decision,
    Finding,
    GenerationRequest,
    ModelRef,
    Receipt,
    Stage,
    VerificationReport,
)
from countermark.objects import ObjectStore
from countermark.pipeline import Parts, Pipeline, Result
from countermark.policy import Policy, decide, load_policy
from countermark.settings import Settings, load_settings
from countermark.verification import Sources, Trust, verify_bytes

if TYPE_CHECKING:
    from countermark.generators import Generator
    from countermark.safety.interface import ImageClassifier, PromptClassifier
    from countermark.watermark.interface import Watermark


TRUST_SCHEMA = "countermark.trust/1"


class Home:
    """The folder of one installation (``COUNTERMARK_HOME``) and what lives in it; made only when asked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.home

    @property
    def keys(self) -> KeyRing:
        """The key ring in ``keys/``."""
        return KeyRing.open(self.folder / "keys", self.settings.keys)

    @property
    def audit_db(self) -> Path:
        """The audit log's store."""
        return self.folder / "audit.db"

    @property
    def origin(self) -> str:
        """The log's name: set, or derived from its key so that no two installations share one."""
        if self.settings.log.origin:
            return self.settings.log.origin
        return f"countermark.local/{self.keys.key_id(Purpose.AUDIT_LOG)}"

    def make(self) -> None:
        """Make the folder and every key that is missing.

        Raises:
            OutputUnwritable: the folder cannot be made or written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputUnwritable(
                f"The home folder {self.folder} cannot be made: {error.strerror or error}.",
                remedy="Set COUNTERMARK_HOME to a folder that you own.",
            ) from error
        self.keys.ensure()

    def note_signer(self) -> NoteSigner:
        """What signs the log's checkpoints."""
        return NoteSigner(self.origin, self.keys.ed25519(Purpose.AUDIT_LOG))

    def open_log(self, *, read_only: bool = False) -> AuditLog:
        """The audit log. One process at a time may write to it."""
        if read_only:
            master = self.keys.secret(Purpose.MASTER) if self.keys.epochs(Purpose.MASTER) else None
            return AuditLog.open(self.audit_db, master_key=master, read_only=True)
        return AuditLog.open(self.audit_db, signer=self.note_signer(), master_key=self.keys.secret(Purpose.MASTER))

    def open_objects(self) -> ObjectStore:
        """Where released images and manifests are kept."""
        return ObjectStore.open(self.settings.objects or self.folder / "objects")

    def watermark(self) -> Watermark:
        """The watermark that settings name, keyed from the ring, every live epoch tried when detecting."""
        ring, chosen = self.keys, self.settings.watermark
        epochs = ring.epochs(Purpose.WATERMARK)
        if not epochs:
            raise KeyUnavailable("There is no watermark key yet.")
        newest = epochs[-1]
        if chosen.backend == "imwatermark":
            from countermark.watermark import InvisibleWatermark

            return InvisibleWatermark(key=ring.secret(Purpose.WATERMARK))
        from countermark.watermark import Lattice

        keys = {epoch: ring.secret(Purpose.WATERMARK, epoch) for epoch in epochs}
        return Lattice(key=keys[newest], epoch=newest % 16, keys=keys, psnr=chosen.psnr)

    def identity(self) -> SigningIdentity:
        """Who signs manifests: the configured certificate, else a development PKI made at first use."""
        chosen = self.settings.credentials
        if chosen.chain and chosen.key:
            return load_identity(chosen.chain, chosen.key)
        return DevelopmentPki.ensure(self.certificates)

    def anchors(self) -> Anchors:
        """Whose manifests are trusted: the configured anchors, and this installation's own development root."""
        chosen = self.settings.credentials
        root = self.certificates / "root.pem"
        return Anchors.load(
            manifest=[chosen.anchors] if chosen.anchors else [],
            tsa=[chosen.timestamp_anchors] if chosen.timestamp_anchors else [],
            development=[root] if root.exists() else [],
        )

    @property
    def certificates(self) -> Path:
        """Where the development PKI lives."""
        return self.folder / "keys" / "c2pa"

    def log_keys(self) -> tuple[str, ...]:
        """The verifier keys of the logs that this installation trusts: its own."""
        return (self.note_signer().verifier_key,) if self.keys.epochs(Purpose.AUDIT_LOG) else ()

    def pseudonym(self, actor: str) -> ActorRef | None:
        """A keyed pseudonym: the same person reads the same, and nobody can guess who it is without the key."""
        if not actor:
            return None
        digest = hmac.digest(self.keys.secret(Purpose.PSEUDONYM), b"actor\0" + actor.encode(), hashlib.sha256)
        return ActorRef(pseudonym=digest.hex()[:32], key_id=self.keys.key_id(Purpose.PSEUDONYM))


class Countermark:
    """The layer around a generator: every image checked, marked and recorded, or no image.

    Args:
        settings: see :mod:`countermark.settings`.
        generator: a generation core; the one that settings name unless given. A diffusers pipeline is taken as it is.
        prompt_safety: replaces the shipped prompt classifiers.
        image_safety: replaces the shipped image classifiers.
        policy: replaces the policy that settings name.

    Raises:
        HomeLocked: another process writes to the same home folder.
        CountermarkError: a key, certificate, policy or model file cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        generator: Any = None,
        prompt_safety: PromptClassifier | None = None,
        image_safety: ImageClassifier | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.settings = settings or load_settings().settings
        self.home = Home(self.settings)
        self._given_generator = generator
        self.policy = policy or load_policy(self.settings.policy)
        self.home.make()
        self.log = self.home.open_log()
        try:
            self.parts = self._assemble(prompt_safety, image_safety)
            self.pipeline = Pipeline(self.parts)
        except BaseException:
            self.log.close()
            raise

    @classmethod
    def from_settings(cls, **flags: Any) -> Countermark:
        """Build from the environment, ``countermark.toml`` and ``flags`` (dotted names as keyword arguments)."""
        return cls(load_settings(flags).settings)

    def _assemble(self, prompt_safety: PromptClassifier | None, image_safety: ImageClassifier | None) -> Parts:
        from countermark.fingerprint import pdq

        return Parts(
            prompt_safety=prompt_safety or default_prompt_safety(),
            image_safety=image_safety or default_image_safety(),
            policy=self.policy,
            watermark=self.home.watermark(),
            fingerprint=lambda pixels: pdq.compute(pixels).bits,
            credentials=Credentials(self.home.identity(), anchors=self.home.anchors()),
            log=self.log,
            objects=self.home.open_objects(),
            pseudonym=self.home.pseudonym,
            source=platform.node()[:100] or "localhost",
            provider=self.settings.provider,
            media_type=self.settings.output.format,
            quality=self.settings.output.quality,
        )

    @cached_property
    def generator(self) -> Generator:
        """The generation core, loaded when it is first needed."""
        from countermark.generators import DiffusersGenerator, EmbeddedGenerator

        given = self._given_generator
        if given is None:
            chosen = self.settings.generator
            if chosen.model == "embedded":
                return EmbeddedGenerator()
            return DiffusersGenerator(chosen.model, allow_download=chosen.allow_download)
        return given if hasattr(given, "generate") else DiffusersGenerator(given)

    def generate(
        self,
        prompt: str,
        *,
        on_step: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> Result:
        """Generate one checked, marked and recorded image.

        Args:
            prompt: 1 to 10,000 characters.
            on_step: called after each denoising step with (step, steps).
            options: fields of :class:`~countermark.model.GenerationRequest`: seed, width, height, steps, guidance,
                negative_prompt, tenant, actor, purpose.

        Returns:
            What became of it: ``released`` with the file, ``refused`` or ``held`` with the decision.

        Raises:
            PromptInvalid: the prompt is empty, too long, or not text.
            UsageError: an option does not fit.
            CountermarkError: something failed; nothing was released, and the failure is recorded.
        """
        options.setdefault("tenant", self.settings.tenant)
        try:
            request = GenerationRequest(prompt=prompt, **options)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise UsageError(f"The request cannot be met: {faults}.") from None
        return self.pipeline.generate(request, _Core(lambda: self.generator, request, on_step))[0]

    def mark(
        self,
        image: Any,
        *,
        model: str | ModelRef,
        prompt: str = "",
        parent: Path | str | None = None,
        tenant: str | None = None,
        actor: str = "",
    ) -> Result:
        """Check and mark an image that something else generated.

        Args:
            image: a path, file bytes, a Pillow image, or RGB uint8 pixels H×W×3.
            model: what made it.
            prompt: what it was made from, if known.
            parent: the image that it was made from; becomes a C2PA ingredient.
            tenant: whose it is.
            actor: who asks; recorded as a keyed pseudonym.

        Raises:
            AlreadyMarked: it carries one of our marks and no parent was named.
            AssetInvalid: it is no image that we can read.
        """
        raster = to_raster(image)
        origin: Ingredient | None = None
        if parent is not None:
            data = imaging.read_file(Path(parent))
            origin = Ingredient(Path(parent).name, imaging.decode(data, str(parent)).media_type, data)
        reference = model if isinstance(model, ModelRef) else ModelRef(id=model)
        return self.pipeline.mark(
            raster, model=reference, prompt=prompt, tenant=tenant or self.settings.tenant, actor=actor, parent=origin
        )

    def wrap(self, pipe: Any) -> Any:
        """A diffusers pipeline that can only return checked, marked images.

        Its call takes what the pipeline's own call takes. Refused images come back as ``None`` with the reasons in
        ``output.countermark``.
        """
        from countermark.generators import WrappedPipeline

        return WrappedPipeline(pipe, self._run_wrapped)

    def _run_wrapped(self, request: GenerationRequest, generator: Generator, /) -> Sequence[Result]:
        request = request.model_copy(update={"tenant": self.settings.tenant})
        return self.pipeline.generate(request, _Core(lambda: generator, request, None))

    def check(self, *, prompt: str | None = None, image: Any = None) -> tuple[tuple[Finding, ...], Decision]:
        """Findings and decision for a prompt or an image; nothing is generated or recorded."""
        return check(self.policy, prompt=prompt, image=image)

    def verify(self, file: Path | str | bytes, **options: Any) -> VerificationReport:
        """What can be proved about a file, with this installation's keys, log and anchors."""
        return verify(file, settings=self.settings, **options)

    def close(self) -> None:
        """Release the home folder for other processes."""
        self.log.close()

    def __enter__(self) -> Countermark:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Core:
    """Binds a generator to one request, so that the pipeline need not know how it is called."""

    def __init__(
        self, generator: Callable[[], Generator], request: GenerationRequest, on_step: Callable[[int, int], None] | None
    ) -> None:
        self._generator = generator
        self._request = request
        self._on_step = on_step

    @property
    def model(self) -> ModelRef:
        return self._generator().model

    def __call__(self) -> tuple[Sequence[NDArray[uint8]], dict[str, str], tuple[str, ...]]:
        made = self._generator().generate(self._request, on_step=self._on_step)
        return made.images, {name: str(value) for name, value in made.parameters.items()}, made.notices


def default_prompt_safety() -> PromptClassifier:
    """The shipped prompt classifiers."""
    from countermark.safety import PromptEnsemble

    return PromptEnsemble()


def default_image_safety() -> ImageClassifier:
    """The shipped image classifiers."""
    from countermark.safety import ImageEnsemble

    return ImageEnsemble()


def check(
    policy: Policy,
    *,
    prompt: str | None = None,
    image: Any = None,
    prompt_safety: PromptClassifier | None = None,
    image_safety: ImageClassifier | None = None,
) -> tuple[tuple[Finding, ...], Decision]:
    """Assess a prompt or an image and let policy decide; nothing is generated or recorded."""
    if (prompt is None) == (image is None):
        raise TypeError("give either a prompt or an image")
    if prompt is not None:
        from countermark.pipeline.run import check_prompt

        check_prompt(prompt)
        findings = (prompt_safety or default_prompt_safety()).assess(prompt)
        return findings, decide(policy, findings, Stage.PROMPT)
    findings = (image_safety or default_image_safety()).assess(to_raster(image).pixels)
    return findings, decide(policy, findings, Stage.IMAGE)


def to_raster(image: Any) -> imaging.Raster:
    """Pixels from a path, file bytes, a raster, a Pillow image or an array.

    Raises:
        AssetInvalid: it is none of these, or cannot be read.
    """
    import io

    import numpy as np

    if isinstance(image, imaging.Raster):
        return image
    if isinstance(image, (str, Path)):
        return imaging.decode(imaging.read_file(Path(image)), str(image))
    if isinstance(image, bytes):
        return imaging.decode(image)
    if isinstance(image, np.ndarray):
        return imaging.from_array(image)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0)
    return imaging.decode(buffer.getvalue())


def open_sources(
    settings: Settings,
    *,
    receipts: Sequence[Receipt] = (),
    trust: Trust | None = None,
) -> Sources:
    """Where a verifier on this machine may look. Makes nothing: a machine without a home verifies manifests alone."""
    home = Home(settings)
    log = home.open_log(read_only=True) if home.audit_db.exists() else None
    own = Trust(home.anchors(), home.log_keys())
    if trust is not None:
        own = Trust(own.anchors + trust.anchors, own.log_keys + trust.log_keys)
    return Sources(
        trust=own,
        watermark=home.watermark() if home.keys.epochs(Purpose.WATERMARK) else None,
        log=log,
        objects=home.open_objects() if log is not None else None,
        receipts=tuple(receipts),
    )


def verify(
    file: Path | str | bytes,
    *,
    settings: Settings | None = None,
    receipts: Sequence[Receipt] = (),
    trust: Trust | None = None,
) -> VerificationReport:
    """What can be proved about one file. Nothing is written, and the network is never used.

    Args:
        file: a path or the file's bytes.
        settings: whose keys, log and anchors to use; the environment's unless given.
        receipts: receipts that the reader holds.
        trust: further anchors and log keys to believe.

    Raises:
        NotFound: there is no such file.
        AssetInvalid: it is no image that we can read.
    """
    sources = open_sources(settings or load_settings().settings, receipts=receipts, trust=trust)
    try:
        if isinstance(file, bytes):
            return verify_bytes(file, "", sources)
        path = Path(file)
        if path.is_dir():
            raise NotFound(f"{path} is a folder.", remedy="Add --recursive to verify every image in it.")
        return verify_bytes(imaging.read_file(path), str(file), sources)
    finally:
        if sources.log is not None:
            sources.log.close()


def trust_document(settings: Settings) -> bytes:
    """What others need to check this installation's files and receipts, as JSON: anchors and log keys, no secrets."""
    home = Home(settings)
    anchors = home.anchors() + Anchors.for_identity(home.identity())
    document = {"schema": TRUST_SCHEMA, **asdict(anchors), "log_keys": list(home.log_keys())}
    return json.dumps(document, indent=2).encode() + b"\n"


def read_trust(data: bytes, name: str) -> Trust:
    """The trust that a document made by :func:`trust_document` asks for.

    Raises:
        UsageError: it is no such document.
    """
    try:
        document = json.loads(data)
        if document.pop("schema") != TRUST_SCHEMA:
            raise ValueError("another schema")
        log_keys = tuple(str(key) for key in document.pop("log_keys"))
        return Trust(Anchors(**{field: str(pem) for field, pem in document.items()}), log_keys)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{name} is not a trust document.", remedy="Ask its owner for: countermark keys export-trust"
        ) from error
