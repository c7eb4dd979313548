"""The root command: lazy sub-commands, and every error turned into a sentence, a remedy and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from countermark.cli.output import wants_json
from countermark.errors import EXIT_INTERNAL, EXIT_USAGE, CountermarkError

_COMMANDS = {
    "demo": "The whole story on the embedded generator, in under a minute.",
    "generate": "Generate one checked, marked and recorded image.",
    "mark": "Check and mark an image that something else generated.",
    "check": "Findings and decision for prompts or images; nothing is generated.",
    "verify": "What can be proved about a file.",
    "log": "Read and prove the audit log.",
    "witness": "Cosign the checkpoints of others' logs, or collect cosignatures of this one.",
    "policy": "Check policy files.",
    "hashes": "Lists of pictures that must not be released, by their hashes.",
    "keys": "Make and list keys.",
    "bench": "Measure what is claimed, beside peers.",
    "doctor": "What this installation has, and what it lacks.",
    "config": "Show the settings and where each came from.",
}
_INTERRUPTED = 130


class LazyGroup(click.Group):
    """Loads a command's module when it is called, so that ``--help`` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the story."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The named command, its module imported now."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"countermark.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="countermark", message="countermark %(version)s")
def root() -> None:
    """Every generated image checked, marked, and written down so that nobody can quietly change the story."""


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``countermark``; never returns."""
    arguments = sys.argv[1:] if argv is None else argv
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = root.main(args=arguments, prog_name="countermark", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return _INTERRUPTED
    except CountermarkError as error:
        _report(error, arguments)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output left (| head): not our error. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INTERNAL
    except Exception as error:
        _report_unexpected(error)
        return EXIT_INTERNAL


def _report(error: CountermarkError, arguments: list[str]) -> None:
    click.echo(click.style("error: ", fg="red", bold=True) + error.message, err=True)
    click.echo(click.style("remedy: ", fg="green") + error.remedy, err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(f"note: {note}", err=True)
    if wants_json(arguments):
        import orjson

        payload: dict[str, Any] = {"schema": "countermark.error/1", "error": error.to_dict()}
        click.echo(orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode())


def _report_unexpected(error: Exception) -> None:
    click.echo(click.style("internal error: ", fg="red", bold=True) + f"{type(error).__name__}: {error}", err=True)
    click.echo("remedy: please report this with the output of `countermark doctor`.", err=True)
    if os.environ.get("COUNTERMARK_LOG__LEVEL", "").lower() == "debug":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    else:
        click.echo("(COUNTERMARK_LOG__LEVEL=debug shows where it happened.)", err=True)
