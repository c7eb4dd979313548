"""The layer around a generator."""

from __future__ import annotations

import hashlib
import os
import platform
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from countermark import imaging
from countermark.compose.checking import (
    LOSES_CREDENTIALS,
    check,
    default_image_safety,
    default_prompt_safety,
    to_raster,
)
from countermark.compose.core import Core, reference
from countermark.compose.home import Home
from countermark.compose.verifying import verify
from countermark.compose.witnessing import open_collector
from countermark.credentials import Credentials, Ingredient, SigningIdentity
from countermark.errors import UsageError
from countermark.model import Decision, Finding, GenerationRequest, ModelRef, VerificationReport
from countermark.pipeline import EarlyCheck, Parts, Pipeline, Result, check_prompt
from countermark.policy import Policy, load_policy
from countermark.settings import Settings, load_settings
from countermark.verification import Trust

if TYPE_CHECKING:
    from countermark.generators import Generator
    from countermark.safety.interface import ImageClassifier, PromptClassifier


class Countermark:
    """The layer around a generator: every image checked, marked and recorded, or no image.

    Args:
        settings: see :mod:`countermark.settings`.
        generator: a generation core; the one that settings name unless given. A diffusers pipeline is taken as it is.
        prompt_safety: replaces the prompt classifiers that settings name.
        image_safety: replaces the image classifiers that settings name.
        policy: replaces the policy that settings name.
        identity: signs manifests in place of the certificate that settings name, such as one whose key is in a KMS or
            HSM; see :func:`countermark.credentials.load_identity`. The setting ``credentials.timestamp_url`` is not for
            it: it has its own.

    All methods but :meth:`close` may be called from several threads at once, and so may wrapped pipelines. A diffusers
    pipeline, the embedded one among them, runs one request after another however many ask; checks and marks go on
    beside it. A generator of your own is called by as many threads as call :meth:`generate`.

    A Countermark serves the process that opened it. In a forked child :meth:`generate`, :meth:`mark` and wrapped
    pipelines raise ``ForkedProcess``: each worker opens its own.

    Raises:
        UsageError: an argument is of another kind.
        HomeLocked: another process, or this one, writes to the same home folder already.
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
        identity: SigningIdentity | None = None,
    ) -> None:
        _require(Settings, "Countermark.from_settings(...)", settings=settings)
        _require(Policy, "load_policy(path), or the setting 'policy'", policy=policy)
        _require(SigningIdentity, "credentials.load_identity(...)", identity=identity)
        _require_classifier("PromptClassifier", prompt_safety=prompt_safety)
        _require_classifier("ImageClassifier", image_safety=image_safety)
        self.settings = load_settings().settings if settings is None else settings
        self.home = Home(self.settings)
        self._given_generator = generator
        self._loaded_generator: Generator | None = None
        self._loading = threading.Lock()
        self.policy = policy or load_policy(self.settings.policy)
        self.home.make()
        self.log = self.home.open_log()
        try:
            self.parts = self._assemble(prompt_safety, image_safety, identity)
            self.pipeline = Pipeline(self.parts)
            self.collector = open_collector(self.home, self.log)
        except BaseException:
            self.log.close()
            raise
        if self.collector:
            self.collector.start()

    @classmethod
    def from_settings(cls, **flags: Any) -> Countermark:
        """Build from the environment, ``countermark.toml`` and ``flags`` (dotted names as keyword arguments)."""
        return cls(load_settings(flags).settings)

    def _assemble(
        self,
        prompt_safety: PromptClassifier | None,
        image_safety: ImageClassifier | None,
        identity: SigningIdentity | None,
    ) -> Parts:
        from countermark.fingerprint import pdq

        prompts = prompt_safety or default_prompt_safety(self.settings)
        own = None if prompt_safety else prompts
        return Parts(
            prompt_safety=prompts,
            image_safety=image_safety or default_image_safety(self.settings, prompts=own),
            policy=self.policy,
            watermark=self.home.watermark(),
            fingerprint=lambda pixels: pdq.compute(pixels).bits,
            credentials=Credentials(identity or self.home.identity(), anchors=self.home.anchors()),
            log=self.log,
            objects=self.home.open_objects(),
            pseudonym=self.home.pseudonym,
            source=platform.node()[:100] or "localhost",
            media_type=self.settings.output.format,
            quality=self.settings.output.quality,
            rehearse=self.settings.watermark.backend == "lattice",
            early=self._early_check(image_safety),
        )

    def _early_check(self, image_safety: ImageClassifier | None) -> EarlyCheck | None:
        """Looks at previews with the shipped classifiers alone: remote opinions would cost more than they save."""
        at = self.settings.generator.preview_at
        return EarlyCheck(image_safety or default_image_safety(), at) if at else None

    @property
    def generator(self) -> Generator:
        """The generation core, loaded when it is first needed, once however many threads ask."""
        with self._loading:
            if self._loaded_generator is None:
                self._loaded_generator = self._load_generator()
            return self._loaded_generator

    def _load_generator(self) -> Generator:
        given = self._given_generator
        if hasattr(given, "generate"):  # it may need none of the libraries of ours
            return given  # type: ignore[no-any-return]
        from countermark.generators import DiffusersGenerator, EmbeddedGenerator, WrappedPipeline

        if isinstance(given, WrappedPipeline):
            raise UsageError(
                "The generator is a wrapped pipeline: its images would be checked, marked and recorded twice.",
                remedy="Call it as it is, or give the pipeline of diffusers itself.",
            )
        if given is None:
            chosen = self.settings.generator
            if chosen.model == "embedded":
                return EmbeddedGenerator()
            return DiffusersGenerator(chosen.model, allow_download=chosen.allow_download)
        return DiffusersGenerator(given)

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
            AuditClosed: this Countermark was closed.
            ForkedProcess: it was opened before this process was forked.
            CountermarkError: something failed; nothing was released, and the failure is recorded.
        """
        self.log.check_open()
        check_prompt(prompt)
        if options.get("count", 1) != 1:
            raise UsageError("generate makes one image.", remedy="Call it once for each image, or wrap a pipeline.")
        options["tenant"] = options.get("tenant") or self.settings.tenant
        request = _request(prompt=prompt, **options)
        return self.pipeline.generate(request, Core(lambda: self.generator, request, on_step))[0]

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
            UsageError: another argument does not fit.
            AuditClosed, ForkedProcess: as :meth:`generate`.
            CountermarkError: something failed; nothing was released, and the failure is recorded.
        """
        self.log.check_open()
        raster = to_raster(image)
        origin: Ingredient | None = None
        if parent is not None:
            if not isinstance(parent, (str, os.PathLike)):
                raise UsageError(
                    f"'parent' is given as {type(parent).__name__}.",
                    remedy="Give the path of its file: what it says of itself becomes an ingredient.",
                )
            data = imaging.read_file(Path(parent))
            media_type = imaging.decode(data, str(parent)).media_type
            origin = Ingredient(f"parent{imaging.suffix_for(media_type)}", media_type, data)  # names may tell too much
            if raster.sha256 == hashlib.sha256(data).hexdigest():
                raster = replace(raster, notices=tuple(note for note in raster.notices if note != LOSES_CREDENTIALS))
        asked = _request(prompt=prompt, tenant=tenant or self.settings.tenant, actor=actor)
        return self.pipeline.mark(
            raster, model=reference(model), prompt=prompt, tenant=asked.tenant, actor=asked.actor, parent=origin
        )

    def wrap(self, pipe: Any, *, actor: str = "", tenant: str | None = None) -> Any:
        """A diffusers pipeline that can only return checked, marked images.

        Its call takes what the pipeline's own call takes, and ``actor`` and ``tenant``. Refused images come back as
        ``None`` with the reasons in ``output.countermark``.

        Args:
            pipe: a diffusers text-to-image pipeline.
            actor: who asks, where a call does not say; recorded as a keyed pseudonym.
            tenant: whose the images are, where a call does not say; that of the settings unless given.
        """
        from countermark.generators import WrappedPipeline

        return WrappedPipeline(pipe, self._run_wrapped, actor=actor, tenant=tenant)

    def _run_wrapped(self, request: GenerationRequest, generator: Generator, /) -> Sequence[Result]:
        self.log.check_open()
        if "tenant" not in request.model_fields_set or not request.tenant:
            request = request.model_copy(update={"tenant": self.settings.tenant})
        return self.pipeline.generate(request, Core(lambda: generator, request, None))

    def check(self, *, prompt: str | None = None, image: Any = None) -> tuple[tuple[Finding, ...], Decision]:
        """Findings and decision for a prompt, an image or both; nothing is generated or recorded."""
        return check(
            self.policy,
            prompt=prompt,
            image=image,
            prompt_safety=self.parts.prompt_safety,
            image_safety=self.parts.image_safety,
        )

    def verify(self, file: Path | str | bytes, **options: Any) -> VerificationReport:
        """What can be proved about a file, with this installation's keys, log and anchors; see :func:`verify`."""
        own, further = Trust(self.parts.credentials.anchors), options.pop("trust", None)
        return verify(file, settings=self.settings, trust=own if further is None else own + further, **options)

    def close(self) -> None:
        """Collect what witnesses will still cosign, and release the home folder for others.

        In a forked child it does nothing: all of it is the parent's.
        """
        if self.log.forked:
            return
        try:
            if self.collector:
                self.collector.stop()
        finally:  # waiting for witnesses may be interrupted; the home folder is not to stay locked for it
            self.log.close()

    def __enter__(self) -> Countermark:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _require(kind: type, instead: str, **given: Any) -> None:
    """Check that what is given, if anything, is of its kind."""
    for name, value in given.items():
        if value is not None and not isinstance(value, kind):
            raise UsageError(
                f"'{name}' is given as {type(value).__name__}, not {kind.__name__}.", remedy=f"Use {instead}."
            )


def _require_classifier(kind: str, **given: Any) -> None:
    """Check that what is given, if anything, can be asked; otherwise every request would be refused for its failure."""
    for name, value in given.items():
        if value is not None and (isinstance(value, type) or not callable(getattr(value, "assess", None))):
            what = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
            raise UsageError(
                f"'{name}' is given as {what}, not an instance of {kind}.",
                remedy=f"See countermark.safety.{kind} for what it has to have.",
            )


def _request(**fields: Any) -> GenerationRequest:
    unknown = [name for name in fields if name not in GenerationRequest.model_fields]
    if unknown:
        known = ", ".join(name for name in GenerationRequest.model_fields if name not in ("prompt", "count"))
        raise UsageError(f"There is no option {', '.join(unknown)}.", remedy=f"The options are: {known}.")
    try:
        return GenerationRequest(**fields)
    except ValidationError as error:
        # The faults without the values: one of them may be the prompt.
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"The request cannot be met: {faults}.") from None
