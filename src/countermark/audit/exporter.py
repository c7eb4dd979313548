"""The part of a log that hands over ranges of entries as bundles, on the record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from countermark.audit.bundle import DisclosedField
from countermark.audit.checkpoint import open_checkpoint, peek_checkpoint
from countermark.audit.custodian import Custodian, access_event
from countermark.audit.export import (
    Exported,
    Format,
    draft,
    hand_over,
    write_disclosed,
    write_manifest,
    write_range,
)
from countermark.audit.pictures import texts_of
from countermark.audit.privacy import Disclosure
from countermark.audit.protected import parse_protected
from countermark.audit.query import Filter, checked_conditions, index_row
from countermark.audit.scan import checked_entries
from countermark.audit.verify import Progress
from countermark.audit.warrant import Warrant
from countermark.errors import NotFound
from countermark.model import Event, EventType, ExportRecord

_DISCLOSED_AT_ONCE: Final = 256
_PROGRESS_EVERY: Final = 4096


class Exporter(Custodian):
    """A log that can be exported from."""

    def export(
        self,
        path: Path,
        warrant: Warrant,
        *,
        first: int = 0,
        end: int | None = None,
        formats: Sequence[Format] = ("jsonl",),
        reveal: bool = False,
        under: str | None = None,
        progress: Progress | None = None,
    ) -> Exported:
        """Hand over a contiguous range of entries as a bundle that verifies offline.

        It is made aside and proved to lead to the newest checkpoint; then the export is recorded, and only then does
        the bundle appear: a folder, or a zip file where ``path`` ends in ``.zip``. ``audit/FORMAT.md`` describes it.

        Args:
            path: where to; nothing may be there.
            warrant: why, and by whom.
            first: the first entry. With the size of an auditor's last checkpoint the bundle continues it.
            end: one more than the last entry; by default all that the newest checkpoint covers.
            formats: views beside the entries: ``csv``, ``parquet``.
            reveal: with the protected texts in the clear; each event's disclosure is recorded as an access first.
                Keys of held pictures are never handed over.
            under: the checkpoint to prove it under, such as one that witnesses cosigned; by default the newest.
            progress: called with entries written and entries in all.

        Raises:
            AuditError: the log is open for reading only.
            NotFound: there is no such range.
            ProofInvalid: ``under`` is no checkpoint of this log.
            OutputUnwritable: ``path`` exists, or cannot be written.
            MissingExtra: a format needs a package that is not installed.
            AuditStoreDamaged: the entries are not those that were signed.
            KeyUnavailable: ``reveal`` without the master key.
        """
        self._may_write("an export")
        if reveal:
            self._require_vault()
        note = self.checkpoint() if under is None else under
        checkpoint = open_checkpoint(note, self.verifier_key)
        end = checkpoint.size if end is None else end
        if not 0 <= first <= end <= checkpoint.size:
            raise NotFound(
                f"The checkpoint has {checkpoint.size} entries, so no range from {first} to {end}.",
                remedy=f"Name entries from 0 to {checkpoint.size}, the first before the end.",
            )
        with draft(path) as folder:
            with self._store.snapshot() as reader:
                manifest = write_range(
                    folder,
                    reader,
                    note,
                    checkpoint,
                    log_key=self.verifier_key,
                    first=first,
                    end=end,
                    formats=formats,
                    progress=progress,
                )
            disclosed = self._disclose_range(folder, first, end, warrant) if reveal else 0
            manifest, digest = write_manifest(folder, manifest)
            record = ExportRecord(
                first=first,
                end=end,
                size=checkpoint.size,
                formats=tuple(dict.fromkeys(("jsonl", *formats))),
                manifest_sha256=digest,
                disclosed=disclosed,
            )
            (index,) = self._record(warrant.event(EventType.EXPORT, export=record))
            hand_over(folder, path, self.receipt(index))
        return Exported(path, manifest, index, disclosed)

    def span(self, since: str | None, until: str | None, *, progress: Progress | None = None) -> tuple[int, int]:
        """The range from the first to the last entry of a time, ``(first, end)``: contiguous, so with all between.

        Args:
            since: RFC 3339 time in UTC or any beginning of one, inclusive.
            until: likewise, exclusive.
            progress: called with entries searched and entries in all.

        Raises:
            UsageError: what is given is no time, or there is none between the two.
            NotFound: no entry is of that time.
        """
        wanted, first, end = Filter(**checked_conditions({"since": since, "until": until})), -1, 0
        with self._store.snapshot() as reader:
            size = peek_checkpoint(self.checkpoint()).size
            for index, entry in checked_entries(reader, 0, size):
                if wanted.matches(index_row(orjson.loads(entry))):
                    first, end = index if first < 0 else first, index + 1
                if progress and index % _PROGRESS_EVERY == 0:
                    progress(index, size)
        if first < 0:
            raise NotFound(
                "No entry of the log is of that time.", remedy="See of which times it has: countermark log list"
            )
        return first, end

    def _disclose_range(self, folder: Path, first: int, end: int, warrant: Warrant) -> int:
        """Write the protected texts of a range in the clear, after recording the access to each event's."""
        with self._store.snapshot() as reader:
            found = [i for i, entry in checked_entries(reader, first, end) if parse_protected(entry)]
        erased, disclosed = self._ledger().erased, 0
        write_disclosed(folder, [])
        for start in range(0, len(found), _DISCLOSED_AT_ONCE):
            lines, accesses = list[DisclosedField](), list[Event]()
            for index in found[start : start + _DISCLOSED_AT_ONCE]:
                event = self.event(index)
                texts = texts_of(event)
                if not texts:
                    continue
                if event.event_id in erased:
                    lines += [_erased(index, event, commitment.field) for commitment in texts]
                    continue
                event, opened = self._open_fields(index)
                accesses.append(access_event(index, event, (one.field for one in opened), warrant))
                lines += [_disclosed(index, event, one) for one in opened]
            self._record(*accesses)
            write_disclosed(folder, lines)
            disclosed += len(accesses)
        return disclosed


def _disclosed(index: int, event: Event, one: Disclosure) -> DisclosedField:
    return DisclosedField(
        index=index,
        event_id=event.event_id,
        field=one.field,
        state="disclosed",
        text=one.text,
        commitment_key=one.commitment_key.hex(),
    )


def _erased(index: int, event: Event, field: str) -> DisclosedField:
    return DisclosedField(index=index, event_id=event.event_id, field=field, state="erased")
