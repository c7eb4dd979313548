"""The root command: lazy sub-commands, and every error turned into a sentence, a remedy and an exit code."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TextIO

import click

from countermark.cli.lazy import LazyGroup
from countermark.cli.output import coloured, home_option, print_json, printable, wants_json
from countermark.errors import (
    EXIT_INTERNAL,
    EXIT_USAGE,
    CountermarkError,
    EnvironmentLacking,
    OutputUnwritable,
    UsageError,
)

_COMMANDS = {
    "demo": "The whole story on the embedded generator, in under a minute.",
    "generate": "Generate one checked, marked and recorded image.",
    "mark": "Check and mark an image that something else generated.",
    "check": "Findings and decision for prompts or images; nothing is generated.",
    "verify": "What can be proved about a file.",
    "log": "Read, prove, export and erase what the audit log holds; legal holds.",
    "witness": "Cosign the checkpoints of others' logs, or collect cosignatures of this one.",
    "policy": "Check policy files.",
    "hashes": "Lists of pictures that must not be released, by their hashes.",
    "keys": "Make, list and rotate keys; export what others need to trust them.",
    "bench": "Measure what is claimed, beside peers.",
    "doctor": "What this installation has, and what it lacks.",
    "config": "Show the settings and where each came from.",
}

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells say it."""


def _load(name: str) -> click.Command:
    command: click.Command = import_module(f"countermark.cli.{name}").command
    return command


@click.group(cls=LazyGroup, told=_COMMANDS, load=_load, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="countermark", message="countermark %(version)s")
@home_option()
def root(home: Path | None) -> None:
    """Every generated image checked, marked, and written down so that nobody can quietly change the story.

    \b
    countermark demo                                  the whole story, in under a minute
    countermark generate "a lighthouse at dusk" -o lighthouse.png
    countermark verify lighthouse.png
    countermark COMMAND --help                        examples of each

    Settings and exit codes: docs/settings.md and docs/exit-codes.md.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``countermark``; never returns."""
    arguments = sys.argv[1:] if argv is None else argv
    code = run(arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            _give_up(stream)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    _write_what_can_be_written()
    try:
        code = root.main(args=arguments, prog_name="countermark", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk may show only now
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        _report_usage(error, arguments)
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        _tell("Interrupted.")
        return INTERRUPTED
    except CountermarkError as error:
        _report(error, arguments)
        return error.exit_code
    except BrokenPipeError:
        _give_up(sys.stdout)  # the reader of our output left (| head): not our error
        return EXIT_INTERNAL
    except Exception as error:
        return _report_unexpected(error, arguments)


def _cannot_use(error: OSError) -> CountermarkError:
    """A file or folder that somebody named and the system does not give: no fault of the program."""
    return EnvironmentLacking(
        f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}.",
        remedy="Check the path, and whether this user may read it and the folders that it is in.",
    )


def _write_what_can_be_written() -> None:
    """A terminal or pipe that is not UTF-8 shows ? for what it lacks; a command that has acted must not end there."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _stdout_fails() -> bool:
    """Whether stdout is what failed: then it fails again."""
    if sys.stdout is None:
        return False
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _give_up(stream: TextIO) -> None:
    """Python would complain again of what is left when it flushes at exit, and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _report_usage(error: click.ClickException, arguments: list[str]) -> None:
    with suppress(OSError):
        error.show()
    if wants_json(arguments):
        context = error.ctx if isinstance(error, click.UsageError) else None
        remedy = f"See what it takes: {context.command_path} --help" if context else None
        _print_error(UsageError(error.format_message(), remedy=remedy))


def _report(error: CountermarkError, arguments: list[str]) -> None:
    _tell(coloured("error: ", fg="red", bold=True) + _shown(error.message))
    _tell(coloured("remedy: ", fg="green") + _shown(error.remedy))
    for note in getattr(error, "__notes__", ()):
        _tell(f"note: {note}")
    if wants_json(arguments):
        _print_error(error)


def _shown(text: str) -> str:
    """A message may name files, whose names may hold what moves the cursor and changes colours."""
    return "\n".join(map(printable, text.split("\n")))


def _print_error(error: CountermarkError) -> None:
    with suppress(OSError):
        print_json({"schema": "countermark.error/1", "error": error.to_dict()})


def _report_unexpected(error: Exception, arguments: list[str]) -> int:
    if isinstance(error, OSError) and error.filename is not None:
        _report(lacking := _cannot_use(error), arguments)
        return lacking.exit_code
    if isinstance(error, OSError) and _stdout_fails():
        _give_up(sys.stdout)
        lost = OutputUnwritable(
            f"What the command had to say could not be written to stdout: {error.strerror or error}.",
            remedy="Make room, or send stdout elsewhere. Whatever it recorded is in: countermark log list",
        )
        _report(lost, [])  # not as JSON, for which there is no stdout
        return lost.exit_code
    _tell(coloured("internal error: ", fg="red", bold=True) + f"{type(error).__name__}: {error}")
    _tell("remedy: please report this with the output of `countermark doctor`.")
    if os.environ.get("COUNTERMARK_LOG__LEVEL", "").lower() == "debug":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    else:
        _tell("(COUNTERMARK_LOG__LEVEL=debug shows where it happened.)")
    return EXIT_INTERNAL


def _tell(text: str) -> None:
    """A line on stderr, where that can be written: the exit code is told either way."""
    with suppress(OSError):
        click.echo(text, err=True)
