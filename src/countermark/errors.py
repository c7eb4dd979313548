"""One tree of errors.

Every error that countermark raises on purpose derives from :class:`CountermarkError`. Each says *what* is wrong
(the message), *how to mend it* (the remedy), and what a program should do with it: a stable ``code``, the exit code
of the command line, the HTTP status, and whether trying again may help.

A refusal by policy is never an error: it is a :class:`~countermark.model.Decision`.
Messages never carry prompts, keys or other protected text.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_INTERNAL = 1
EXIT_USAGE = 2


class CountermarkError(Exception):
    """Base of every error raised on purpose.

    Args:
        message: what is wrong and where, in one sentence.
        remedy: what to do about it, in one sentence; defaults to the class's own remedy.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = EXIT_INTERNAL
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_remedy: ClassVar[str] = "Please report this with the output of `countermark doctor`."

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy if remedy is not None else self.default_remedy

    def to_dict(self) -> dict[str, str | bool]:
        """The error as plain data, for ``--json`` and problem+json."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy, "retryable": self.retryable}


# --- what the caller gave us ---


class UsageError(CountermarkError):
    """The request itself is wrong; the same request will fail again."""

    code = "usage"
    exit_code = EXIT_USAGE
    http_status = 400
    default_remedy = "Correct what the message names; a command says with --help what it takes."


class PromptInvalid(UsageError):
    """A prompt that is empty, too long, or not text."""

    code = "prompt_invalid"
    default_remedy = "Give a prompt of 1 to 10,000 characters."


class SettingsInvalid(UsageError):
    """The settings file or an environment variable cannot be used."""

    code = "settings_invalid"
    default_remedy = "Mend the named setting, or see where each value comes from: countermark config show --origin."


class PolicyInvalid(UsageError):
    """A policy, or a list that goes with it, cannot be used; the message carries file:line:column."""

    code = "policy_invalid"
    default_remedy = (
        "Mend the file at the position named and check a policy with: countermark policy check FILE,"
        " term lists and names with: countermark doctor."
    )


class AssetInvalid(UsageError):
    """A file that should be an image cannot be read as one."""

    code = "asset_invalid"
    http_status = 415
    default_remedy = "Give a PNG, JPEG, WebP, AVIF, TIFF or GIF image."


class AssetTooLarge(AssetInvalid):
    """An image whose bytes or pixels exceed the bounds for hostile files."""

    code = "asset_too_large"
    http_status = 413
    default_remedy = "Give an image of at most 8,192 pixels a side, 67 megapixels and 64 MiB."


class AssetTooSmall(AssetInvalid):
    """An image too small to carry a mark."""

    code = "asset_too_small"
    default_remedy = "Give an image of at least 128 pixels a side."


class NotFound(UsageError):
    """Something named by the caller does not exist."""

    code = "not_found"
    http_status = 404
    default_remedy = "Check the name or path."


class CheckpointInvalid(UsageError):
    """A checkpoint that was given to compare a log with is damaged, or of another log."""

    code = "checkpoint_invalid"
    default_remedy = "Give the file as it was kept, unchanged; nothing was compared."


class HashListInvalid(UsageError):
    """A list of hashes, or its name, cannot be used; the message carries file:line, never a hash."""

    code = "hash_list_invalid"
    default_remedy = "Mend the line named, or ask whoever keeps the list for a fresh copy; nothing was imported."


class AlreadyMarked(UsageError):
    """The image already carries one of our marks; marking again would overwrite it."""

    code = "already_marked"
    http_status = 409
    default_remedy = "Name the marked image as the parent of the new one: mark(parent=...), mark --parent ORIGINAL."


# --- what this machine lacks ---


class EnvironmentLacking(CountermarkError):
    """Something outside the request is missing or unusable on this machine."""

    code = "environment"
    http_status = 503
    default_remedy = "Run `countermark doctor` to see what is missing."


class MissingExtra(EnvironmentLacking):
    """An optional dependency is not installed."""

    code = "missing_extra"

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the optional packages of the extra '{extra}', which are not installed.",
            remedy=f'pip install "countermark[{extra}]"',
        )


class WeightsMissing(EnvironmentLacking):
    """A model file is not where it should be."""

    code = "weights_missing"
    default_remedy = "Install the package again: its model files are incomplete."


class WeightsMismatch(EnvironmentLacking):
    """A model file's digest is not the one it was released with."""

    code = "weights_mismatch"
    default_remedy = "The file was altered or damaged: install the package again, and find out who changed it."


class StillLoading(EnvironmentLacking):
    """A model takes longer to load than it is waited for."""

    code = "still_loading"
    retryable = True
    default_remedy = "Ask again when it is loaded, which goes on meanwhile; a faster disk or a smaller model is sooner."


class HashListDamaged(EnvironmentLacking):
    """A hash list of this installation cannot be read, or is not what was imported."""

    code = "hash_list_damaged"
    default_remedy = "Find out who changed it; then: countermark hashes remove NAME, and import it again."


class OutputUnwritable(EnvironmentLacking):
    """A result cannot be written where it was asked for."""

    code = "output_unwritable"
    exit_code = EXIT_USAGE
    default_remedy = "Choose a folder that you may write to and that has room."


class HomeLocked(EnvironmentLacking):
    """Somebody else, in this process or another, writes to the same home folder."""

    code = "home_locked"
    retryable = True
    default_remedy = (
        "Close the other one or wait for its process to end, give this one a home of its own with COUNTERMARK_HOME,"
        " or keep the log in PostgreSQL, which takes several writers."
    )


class ForkedProcess(EnvironmentLacking):
    """What an earlier process opened was used in a child forked from it, where it cannot work."""

    code = "forked_process"
    default_remedy = (
        "Open a Countermark in each worker, after the fork (several that write need a log in PostgreSQL); or start"
        " workers with 'spawn'."
    )


class KeyUnavailable(EnvironmentLacking):
    """A key is missing, unreadable, or readable by others."""

    code = "key_unavailable"
    default_remedy = "Make the keys with: countermark keys init; see them with: countermark keys list."


# --- what the rooms report ---


class GenerationFailed(CountermarkError):
    """The generation core raised or returned something unusable."""

    code = "generation_failed"
    http_status = 502
    default_remedy = (
        "The attempt is recorded as failed. Where it broke stands in the error's notes and in the log, without what was"
        " said there, which may quote the prompt; in Python that is the error's __context__."
    )


class WatermarkFailed(CountermarkError):
    """A watermark could not be written or read back."""

    code = "watermark_failed"
    default_remedy = "The image may be too small or too uniform to carry the mark: try a larger or more detailed one."


class CredentialFailed(CountermarkError):
    """A C2PA manifest could not be made, signed, or validated."""

    code = "credential_failed"
    default_remedy = "Check the signing certificate with: countermark doctor."


class ReleaseRefused(CountermarkError):
    """A mark could not be read back from the final bytes, so nothing was released."""

    code = "release_refused"
    default_remedy = "Nothing was released. The audit log's entry of the attempt names the mark that failed."


class AuditError(CountermarkError):
    """The audit log cannot be used."""

    code = "audit"


class AuditStoreDamaged(AuditError):
    """The store disagrees with itself or with what was signed."""

    code = "audit_store_damaged"
    default_remedy = (
        "Do not write to this store. Keep a copy, find the change with: countermark log verify, restore a good copy."
    )


class AuditIndexUnusable(AuditStoreDamaged):
    """The look-up index is damaged or of another format; every entry and proof can still be read."""

    code = "audit_index_unusable"
    default_remedy = "Build the index anew, which changes no entry and no proof: countermark log reindex"


class AuditIndexOutdated(AuditIndexUnusable):
    """The look-up index is of an older format: no damage, but nothing can be looked up by it."""

    code = "audit_index_outdated"


class AuditRollback(AuditError):
    """The store is behind a checkpoint that was already signed: a restored backup, or a truncation."""

    code = "audit_rollback"
    default_remedy = "Restore the newest copy of audit.db; signed.db must never be restored from a backup."


class AuditPoisoned(AuditError):
    """A commit failed; memory may be ahead of the disk, so the log refuses work until it is opened again."""

    code = "audit_poisoned"
    retryable = True
    default_remedy = "Open the log again (restart the program); what was acknowledged is safe."


class AuditClosed(AuditError):
    """The log, or the Countermark that it belongs to, was closed before."""

    code = "audit_closed"
    default_remedy = "Open another Countermark or log; a 'with' block closes its own when it ends."


class EventInvalid(AuditError):
    """An event that cannot be recorded: too large, or not canonical."""

    code = "event_invalid"
    default_remedy = "An entry holds at most 65,535 bytes: shorten the fields named."


class ProofInvalid(AuditError):
    """A proof, checkpoint or receipt does not verify."""

    code = "proof_invalid"
    default_remedy = "Ask the log's operator for a fresh receipt; keep this one as evidence."


class WitnessUnavailable(AuditError):
    """A witness cannot be reached, or what it answers is of no use."""

    code = "witness_unavailable"
    http_status = 502
    retryable = True
    default_remedy = "Check the witness's address and key in the settings; its operator must know this log's key."


class WitnessRefused(AuditError):
    """A witness cosigned another history of the log than the one it is shown."""

    code = "witness_refused"
    default_remedy = "Stop writing, keep the store as evidence, and compare it: countermark log verify --ask-witnesses"
