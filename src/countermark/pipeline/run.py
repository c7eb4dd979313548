"""One attempt, from the request to the durable record. Any failure closes."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from numpy import uint8
from numpy.typing import NDArray

from countermark.credentials import Ingredient
from countermark.errors import (
    AlreadyMarked,
    AssetTooSmall,
    CountermarkError,
    EventInvalid,
    GenerationFailed,
    PromptInvalid,
    UsageError,
)
from countermark.imaging import Raster, encode
from countermark.model import (
    MAX_PROMPT_CHARS,
    Decision,
    Event,
    EventType,
    Finding,
    GenerationRequest,
    ModelRef,
    Outcome,
    Stage,
    WatermarkState,
)
from countermark.model.custody import HELD_PICTURE
from countermark.observe import get_logger, where_it_broke, without_chain, without_words
from countermark.pipeline.attempt import Attempt
from countermark.pipeline.context import STRICTER, Generate, Parts, Result
from countermark.pipeline.early import EarlyLook, RunStopped
from countermark.pipeline.opening import close_interrupted, record_policy_change
from countermark.pipeline.redact import held, redact
from countermark.pipeline.review import keep
from countermark.pipeline.strike import strike
from countermark.policy import decide, decide_failure, name_mismatch
from countermark.safety.known import Known
from countermark.safety.transparent import look_through
from countermark.watermark.interface import MIN_SIDE

_STOPPED = {"refused": EventType.REFUSED, "held": EventType.HELD}
_LEFT_OUT = "what was found, and the parameters, could not be recorded"
T = TypeVar("T")
_FRAGILE = (
    "The watermark reads, but did not outlive a rehearsed crop with heavy compression: the picture is hard to mark."
)


class Pipeline:
    """The whole way: check, decide, generate, check, decide, mark, read back, record, release.

    Opening one ends the attempts of a process that died, each with its ``generation.failed`` event, and records a
    change of policy since the newest entry.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._log = get_logger("pipeline")
        close_interrupted(parts)
        record_policy_change(parts)

    def generate(self, request: GenerationRequest, core: Generate) -> list[Result]:
        """Run one request; one result for each image, or one for a refused or held prompt or a run that was stopped.

        Raises:
            PromptInvalid: empty, too long, or not text; no attempt is opened.
            GenerationFailed: the core failed; the attempt is recorded as failed.
            CountermarkError: a mark or the log failed; nothing was released, and the attempt is recorded as failed
                wherever the log still works.
        """
        check_prompt(request.prompt)
        if request.negative_prompt:
            check_prompt(request.negative_prompt)
        attempt = Attempt(
            self.parts,
            tenant=request.tenant,
            actor=self.parts.pseudonym(request.actor),
            model=None,
            params=_request_params(request),
        )
        attempt.protected = {"prompt": request.prompt}
        if request.negative_prompt:
            attempt.protected["negative_prompt"] = request.negative_prompt
        # Within the attempt, for this may load the model, and a model that cannot be loaded is a failure like another.
        attempt.model = self._guarded(attempt, lambda: core.model)
        stopped = self._guarded(attempt, lambda: self._assess_prompt(attempt, request.prompt))
        if stopped is not None:
            return [stopped]
        images = self._guarded(attempt, lambda: self._make(attempt, core))
        if isinstance(images, Result):
            return [images]
        return self._finish_all([attempt] + [attempt.fork() for _ in images[1:]], images)

    def mark(
        self,
        raster: Raster,
        *,
        model: ModelRef,
        prompt: str = "",
        tenant: str = "default",
        actor: str = "",
        parent: Ingredient | None = None,
    ) -> Result:
        """Check and mark an image that something else generated.

        Args:
            raster: the image.
            model: what made it, as the caller says.
            prompt: what it was made from, if known; checked and recorded like any other.
            tenant: whose it is.
            actor: who asks; recorded as a keyed pseudonym.
            parent: the file that this image was made from.

        Raises:
            AssetTooSmall: a side below 128 pixels.
            AlreadyMarked: the image carries one of our marks and no parent was named.
            CountermarkError: as :meth:`generate`.
        """
        if prompt:
            check_prompt(prompt)
        if min(raster.width, raster.height) < MIN_SIDE:  # smaller ones are examined for marks, but carry none
            raise AssetTooSmall(f"An image of {raster.width} × {raster.height} pixels is too small for a watermark.")
        before = self.parts.watermark.detect(raster.pixels)
        if before.state is WatermarkState.DETECTED and parent is None:
            raise AlreadyMarked(f"The image already carries the mark of record {before.payload}.")
        who = self.parts.pseudonym(actor)
        attempt = Attempt(self.parts, tenant=tenant, actor=who, model=model, params={"origin": "marked"})
        attempt.parent = before.payload or ""
        attempt.notices.extend(raster.notices)
        if prompt:
            attempt.protected = {"prompt": prompt}
            stopped = self._guarded(attempt, lambda: self._assess_prompt(attempt, prompt))
            if stopped is not None:
                return stopped
        ingredients = (parent,) if parent is not None else ()
        return self._guarded(attempt, lambda: self._finish(attempt, raster, ingredients))

    # --- stages ---

    def _assess_prompt(self, attempt: Attempt, prompt: str) -> Result | None:
        decision = self._assess(attempt, Stage.PROMPT, lambda: self.parts.prompt_safety.assess(prompt))
        return None if decision.outcome is Outcome.ALLOW else self._stop(attempt, decision)

    def _assess(self, attempt: Attempt, stage: Stage, look: Callable[[], tuple[Finding, ...]]) -> Decision:
        """Run one stage's detectors and let policy decide; a detector that raises never opens the gate."""
        with attempt.timer(f"{stage}_safety"):
            try:
                findings = look()
            except Exception as error:
                reason = f"the {stage} checks failed: {type(error).__name__}"
                broke = {"error": type(error).__name__, "where": where_it_broke(error)}
                self._log.error("checks failed", stage=stage, attempt=attempt.id, **broke)
                return decide_failure(self.parts.policy, stage, reason)
        attempt.findings.extend(findings)
        return decide(self.parts.policy, findings, stage)

    def _make(self, attempt: Attempt, core: Generate) -> list[NDArray[uint8]] | Result:
        """The images of a run, or the refusal of one that was stopped on its way."""
        try:
            return self._call_core(attempt, core)
        except RunStopped as stopped:
            attempt.findings.extend(stopped.findings)
            return self._stop(attempt, stopped.decision)

    def _call_core(self, attempt: Attempt, core: Generate) -> list[NDArray[uint8]]:
        early = self.parts.early
        with attempt.timer("generate"):
            try:
                images, used, notices = core() if early is None else core(EarlyLook(attempt, early))
            except RunStopped:
                raise
            except CountermarkError as error:
                self._tell_failure(attempt, error)
                without_chain(error)  # what it was raised from may quote the prompt
                raise
            except Exception as error:
                self._tell_failure(attempt, error)
                failed = GenerationFailed(f"The generator failed: {type(error).__name__}.")
                raise without_chain(failed, error) from None
        if not images:
            raise GenerationFailed("The generator returned no image.")
        attempt.used(used)
        attempt.notices.extend(notices)
        return list(images)

    def _finish(self, attempt: Attempt, raster: Raster, ingredients: tuple[Ingredient, ...] = ()) -> Result:
        known = Known(raster.sha256, attempt.protected.get("prompt", ""))
        look = partial(look_through, self.parts.image_safety)
        decision = self._assess(attempt, Stage.IMAGE, lambda: look(raster, known))
        if decision.outcome is Outcome.REDACT:
            # Redacted pixels are those of no file any more.
            again = partial(look, known=replace(known, sha256=""))
            judge = partial(self._assess, attempt, Stage.IMAGE)
            raster, decision = redact(attempt, raster, decision, look=again, judge=judge)
        if decision.outcome not in (Outcome.ALLOW, Outcome.REDACT):
            return self._stop(attempt, decision, raster)
        event = attempt.event(EventType.RELEASED, decision)
        struck = strike(
            raster,
            parts=self.parts,
            event=event,
            ingredients=ingredients,
            prompted="prompt" in attempt.protected,
            timer=attempt.timer,
        )
        if self.parts.rehearse and not struck.durable:
            attempt.notices.append(_FRAGILE)
        with attempt.timer("store"):
            # Kept before the entry is written: a crash in between leaves a file without a record, never the reverse.
            self.parts.objects.put("manifests", struck.manifest)
            key = self.parts.objects.put("released", struck.data)
        output = struck.output.model_copy(update={"object_key": key})
        event = event.model_copy(update={"output": output, "latency_us": dict(attempt.timer.microseconds)})
        return self._record(
            attempt,
            event,
            decision,
            "released",
            protected=attempt.protected,
            asset=struck.asset,
            data=struck.data,
            record_id=struck.record_id,
        )

    def _finish_all(self, attempts: list[Attempt], images: list[NDArray[uint8]]) -> list[Result]:
        results: list[Result] = []
        for number, (attempt, pixels) in enumerate(zip(attempts, images, strict=True)):
            try:
                results.append(self._guarded(attempt, partial(self._finish, attempt, Raster(pixels))))
            except BaseException as error:
                for waiting in attempts[number + 1 :]:
                    self._record_failure(waiting, "batch_aborted", error)
                if done := [str(result.index) for result in results if result.released]:
                    error.add_note(
                        f"Of the same batch these were released before, and are kept: entries {', '.join(done)}."
                    )
                raise
        return results

    def _stop(self, attempt: Attempt, decision: Decision, raster: Raster | None = None) -> Result:
        """Record a refusal or a held attempt. A held image is kept for the reviewer: sealed, unmarked, unreleased."""
        if decision.outcome is Outcome.REDACT:
            decision = held(decision, "There is nothing here that could be redacted.")
        decision = name_mismatch(decision, attempt.findings)
        outcome = STRICTER[decision.outcome]
        event, protected = attempt.event(_STOPPED[outcome], decision), attempt.protected
        if outcome == "held" and raster is not None:
            event, key = keep(self.parts.objects, event, encode(raster, "image/png"))
            # Of this event alone: one that records a failure instead has no picture.
            protected = {**protected, HELD_PICTURE: key}
        return self._record(attempt, event, decision, outcome, protected=protected)

    def _record(
        self,
        attempt: Attempt,
        event: Event,
        decision: Decision,
        outcome: Any,
        *,
        protected: Mapping[str, str],
        **fields: Any,
    ) -> Result:
        with attempt.timer("audit"):
            appended = self.parts.log.append(event, protected=protected)
            receipt = self.parts.log.receipt(appended.index)
        said = {"rule": decision.rule, "category": decision.category, "severity": decision.severity}
        self._log.info("attempt recorded", outcome=outcome, event_id=event.event_id, index=appended.index, **said)
        return Result(
            outcome=outcome,
            decision=decision,
            findings=tuple(attempt.findings),
            event_id=event.event_id,
            index=appended.index,
            receipt=receipt,
            notices=tuple(attempt.notices),
            latency_us=dict(attempt.timer.microseconds),
            **fields,
        )

    # --- when something breaks ---

    def _guarded(self, attempt: Attempt, step: Callable[[], T]) -> T:
        """Run a step; whatever it raises, the attempt is recorded as failed before the error goes on."""
        try:
            return step()
        except CountermarkError as error:
            self._record_failure(attempt, error.code, error)
            raise
        except BaseException as error:
            if not isinstance(error, Exception):
                without_words(error)  # an interruption on its way out of whatever was handling the prompt
            self._record_failure(attempt, type(error).__name__, error)
            raise

    def _tell_failure(self, attempt: Attempt, error: Exception) -> None:
        """Say in the program's log what broke in the generator, unless it was the request."""
        if not isinstance(error, UsageError):
            self._log.error(
                "generation failed", attempt=attempt.id, error=type(error).__name__, where=where_it_broke(error)
            )

    def _record_failure(self, attempt: Attempt, code: str, cause: BaseException) -> None:
        event = attempt.event(EventType.FAILED, None, error=code)
        try:
            try:
                self.parts.log.append(event, protected=attempt.protected)
            except EventInvalid:  # too long, say: it may be for the very same reason that the attempt failed
                bare = event.model_copy(update={"params": {}, "checks": (), "reasons": (_LEFT_OUT,)})
                self.parts.log.append(bare, protected=attempt.protected)
        except CountermarkError as error:
            # The log itself is broken. The attempt's pending row is durable, so the next start records the failure.
            self._log.error("failure not recorded yet", attempt=attempt.id, code=code, audit=error.code)
            cause.add_note(f"The failure itself could not be recorded yet ({error.code}); the next start records it.")


def check_prompt(prompt: str) -> None:
    """Refuse what is no prompt.

    Raises:
        PromptInvalid: not a ``str``, nothing visible, more than :data:`MAX_PROMPT_CHARS` characters, or not valid
            Unicode.
    """
    if not isinstance(prompt, str):
        raise PromptInvalid(f"The prompt is not text, but {type(prompt).__name__}.")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise PromptInvalid(
            f"The prompt has {len(prompt):,} characters; at most {MAX_PROMPT_CHARS:,} are assessed, and none is cut."
        )
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PromptInvalid(f"The prompt is not valid Unicode at character {error.start}.") from None
    if not any(unicodedata.category(c)[0] in "LNSP" for c in prompt):
        raise PromptInvalid("The prompt is empty, or holds nothing that can be seen.")


def _request_params(request: GenerationRequest) -> dict[str, str]:
    """What was asked for, as strings; the prompts are protected fields and stay out."""
    named = request.model_dump(include={"seed", "width", "height", "steps", "guidance", "purpose"}, exclude_none=True)
    return {name: str(value) for name, value in named.items() if value != ""}
