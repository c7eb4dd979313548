"""Every exit code of the command line; docs/exit-codes.md is made from this."""

from __future__ import annotations

from typing import Final, NamedTuple

from countermark.cli.main import INTERRUPTED
from countermark.errors import EXIT_INTERNAL, EXIT_USAGE
from countermark.model import Verdict


class ExitCode(NamedTuple):
    """A code, what it means, and of which commands."""

    code: int
    meaning: str
    commands: str


EXIT_CODES: Final = (
    ExitCode(
        0,
        "Done: verified, released, allowed, intact, healthy. Of `check` with a file or folder: all were assessed,"
        " whatever the outcome.",
        "all",
    ),
    ExitCode(
        EXIT_INTERNAL,
        "Something is missing or broken on this machine, or in the log (the errors below); `doctor` found something"
        " that fails; `hashes list` found a damaged list; fewer witnesses cosigned than must; stdout's reader left.",
        "all",
    ),
    ExitCode(
        EXIT_USAGE,
        "The command line, a setting, a policy or a file that was given is wrong, or the output cannot be written (the"
        " errors below). Of `check` and `verify` with several: some could not be read, and the others were looked at.",
        "all",
    ),
    ExitCode(
        Verdict.INCONCLUSIVE.exit_code,
        "Inconclusive: there are traces, but nothing that can be proved here; too few of the witnesses that were asked"
        " answered.",
        "`verify`, `log verify --ask-witnesses`",
    ),
    ExitCode(
        Verdict.NO_PROVENANCE.exit_code, "No provenance: nothing here tells where the file comes from.", "`verify`"
    ),
    ExitCode(
        Verdict.TAMPERED.exit_code,
        "Tampered: the file, its manifest or what it was made from was changed after signing.",
        "`verify`",
    ),
    ExitCode(
        Verdict.UNTRUSTED.exit_code, "Untrusted: intact, but its signer is not, or no longer, trusted here.", "`verify`"
    ),
    ExitCode(
        Verdict.PROOF_FAILED.exit_code,
        "Proof failed: the log, a receipt or a signed result is not what was signed.",
        "`verify`, `log verify`, `bench red-team verify`",
    ),
    ExitCode(Verdict.CONTRADICTORY.exit_code, "Contradictory: the marks of the file cannot all be true.", "`verify`"),
    ExitCode(
        Verdict.RECOVERED.exit_code,
        "Recovered: no credentials in the file itself, but it leads to a proved record.",
        "`verify`",
    ),
    ExitCode(
        20,
        "Refused by policy; `hashes check`: on a list.",
        "`generate`, `mark`, `check` of one prompt or image, `hashes check`",
    ),
    ExitCode(
        21,
        "Held for a person, or to be redacted; `hashes check`: not looked up; `log erase`: legal holds keep all of it.",
        "`generate`, `mark`, `check` of one prompt or image, `hashes check`, `log erase`",
    ),
    ExitCode(INTERRUPTED, "Interrupted by Ctrl-C.", "all"),
)
