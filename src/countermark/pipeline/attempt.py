"""One attempt while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from countermark.model import ActorRef, Decision, Event, EventType, Finding, ModelRef, Stage
from countermark.observe import current_trace_id
from countermark.pipeline.context import Parts
from countermark.pipeline.records import blank_event, checks, new_id, now, policy_ref
from countermark.pipeline.timing import Timer

_TOO_SHORT_TO_TELL: Final = 8
"""A shorter prompt ("3", "a cat") may stand in a parameter by chance."""
_MOST_PARAMETERS, _LONGEST_NAME, _LONGEST_VALUE = 64, 64, 500
"""Of what a generator tells, in characters: an event is bounded."""


class Attempt:
    """The state of one attempt while it runs: what its event will say.

    ``actor`` is a pseudonym already: made at the end, a key that is missing by then would keep the outcome unrecorded.
    """

    def __init__(
        self, parts: Parts, *, tenant: str, actor: ActorRef | None, model: ModelRef | None, params: dict[str, str]
    ) -> None:
        self.id = new_id()
        self.parts = parts
        self.tenant = tenant
        self.actor = actor
        self.model = model
        self.params = params
        self.protected: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.notices: list[str] = []
        self.timer = Timer()
        self.parent = ""
        parts.log.begin(self.id, tenant=tenant, time=now())

    def used(self, parameters: Mapping[str, str]) -> None:
        """Put on record what the generator says it used.

        What quotes a prompt is left out, for it could never be erased, and what no event can hold; notices tell of it.
        """
        for number, (name, value) in enumerate(parameters.items()):
            why = "there are too many" if number >= _MOST_PARAMETERS else self._unfit(name, value)
            if why:
                self.notices.append(f"The parameter {ascii(name[:_LONGEST_NAME])[1:-1]} is not on record: {why}.")
            else:
                self.params[name] = value

    def _unfit(self, name: str, value: str) -> str:
        said = value.casefold()
        quoted = (len(text) > _TOO_SHORT_TO_TELL and text.casefold() in said for text in self.protected.values())
        if "prompt" in name.lower() or any(quoted):
            return "it is, or quotes, a prompt"
        if not (name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME):
            return f"a name is at most {_LONGEST_NAME} printable ASCII characters"
        if not (value.isprintable() and len(value) <= _LONGEST_VALUE):
            return f"a value is at most {_LONGEST_VALUE} printable characters"
        return ""

    def fork(self) -> Attempt:
        """The same request's next image, as an attempt of its own with the same prompt findings."""
        twin = Attempt(self.parts, tenant=self.tenant, actor=self.actor, model=self.model, params=dict(self.params))
        twin.protected, twin.notices = dict(self.protected), list(self.notices)
        twin.findings = [f for f in self.findings if f.stage is Stage.PROMPT]
        return twin

    def event(self, event_type: EventType, decision: Decision | None, **fields: Any) -> Event:
        """The event that ends this attempt."""
        blank = blank_event(event_type, attempt=self.id, tenant=self.tenant, source=self.parts.source)
        return blank.model_copy(
            update={
                "trace_id": current_trace_id(),
                "actor": self.actor,
                "model": self.model,
                "params": self.params,
                "policy": policy_ref(decision) if decision else self.parts.policy.ref,
                "checks": checks(self.findings),
                "decision": decision.outcome if decision else None,
                "rule": decision.rule if decision else "",
                "reasons": decision.reasons if decision else (),
                "parent": self.parent,
                "latency_us": dict(self.timer.microseconds),
                **fields,
            }
        )
