"""The whole log verified, beside whoever writes it, and with or without its look-up index."""

from __future__ import annotations

from dataclasses import replace
from time import sleep
from typing import Final

from countermark.audit.checkpoint import peek_checkpoint, refuse_unusable
from countermark.audit.findings import LogFinding, LogFindingKind, VerifyReport
from countermark.audit.reader import LogReader
from countermark.audit.stores.interface import Head, SignedHead, StoreReader
from countermark.audit.tree import EMPTY_ROOT
from countermark.audit.verify import Progress, Verification, sensible_jobs
from countermark.errors import AuditIndexOutdated, AuditStoreDamaged, ProofInvalid

_SIGNING_PAUSE_S: Final = 0.05
_SIGNING_TRIES: Final = 20


class VerifiableReader(LogReader):
    """A log that can be read, and verified as a whole."""

    def verify(
        self,
        held: str | None = None,
        *,
        progress: Progress | None = None,
        index: bool = True,
        protected: bool = True,
        jobs: int | None = 1,
    ) -> VerifyReport:
        """Rehash every entry and compare the whole log with everything that was signed about it.

        Args:
            held: a checkpoint of this log that was kept where its operator cannot write. Only this finds what somebody
                did who has both the database and the signing key.
            progress: called with entries done and entries in all.
            index: compare the look-up index too, from which nothing is ever proved. One of an older version is not
                compared: then ``compared`` of the report does not name it.
            protected: compare the data keys and ciphertexts too with what the entries say of them.
            jobs: processes that share the work; ``None`` takes all cores where the log is large. They are started
                anew, so a script that asks for more than one needs the usual ``if __name__ == "__main__"``.

        Raises:
            CheckpointInvalid: ``held`` is damaged, or of another log.
        """
        if held is not None:
            refuse_unusable(held, self.verifier_key)
        for attempt in range(_SIGNING_TRIES):
            try:
                # Before the snapshot, so that a writer beside us cannot make the store seem rolled back.
                record, fault = self._last_signed()
                with self._store.snapshot() as reader:
                    if attempt + 1 < _SIGNING_TRIES and _being_signed(reader):
                        sleep(_SIGNING_PAUSE_S)  # a writer is between commit and signature
                        continue
                    return Verification(
                        reader,
                        verifier_key=self.verifier_key,
                        record=record,
                        record_fault=fault or self._record_behind(reader.head()),
                        held=held,
                        vault=self._vault,
                        progress=progress,
                        index=index,
                        protected=protected,
                        jobs=sensible_jobs(reader.entry_count()) if jobs is None else jobs,
                        open_store=self._open_store,
                    ).run()
            except AuditIndexOutdated:
                return self.verify(held, progress=progress, index=False, protected=protected, jobs=jobs)
            except AuditStoreDamaged as damage:
                if index:
                    return self._verify_without_index(damage, held, progress, protected, jobs)
                finding = LogFinding(LogFindingKind.STORE, damage.message)
                return VerifyReport(self.origin, self.verifier_key, 0, EMPTY_ROOT, (), (finding,))
        raise AssertionError("the last try returns")

    def _last_signed(self) -> tuple[SignedHead | None, str]:
        """What was signed last, and what is wrong with the record of it where it cannot be read."""
        try:
            return self._signed_head(self.origin), ""
        except AuditStoreDamaged as damage:
            return None, f"{damage.message} {damage.remedy}"

    def _record_behind(self, head: Head) -> str:
        """What is wrong with a record that is behind a checkpoint of the store, though it moves first."""
        record, _ = self._last_signed()
        if record is None or record.size >= _published(head):
            return ""
        return (
            f"The record of what was signed, of {record.size} entries, is older than the newest checkpoint: an older"
            " copy was put in its place."
        )

    def _verify_without_index(
        self, damage: AuditStoreDamaged, held: str | None, progress: Progress | None, protected: bool, jobs: int | None
    ) -> VerifyReport:
        """The rest of a verification, where perhaps only the look-up index cannot be read."""
        report = self.verify(held, progress=progress, index=False, protected=protected, jobs=jobs)
        if any(finding.kind is LogFindingKind.STORE for finding in report.findings):
            return report
        message = f"{damage.message} Build it anew: countermark log reindex"
        return replace(report, findings=(LogFinding(LogFindingKind.INDEX, message), *report.findings))


def _being_signed(reader: StoreReader) -> bool:
    head = reader.head()
    return _published(head) < head.size


def _published(head: Head) -> int:
    """How many entries the published checkpoint claims; -1 without one that can be read."""
    try:
        return peek_checkpoint(head.note).size if head.note else -1
    except ProofInvalid:
        return -1
