"""The command line. One module a command, loaded when it is called."""

from __future__ import annotations

from countermark.cli.main import main

__all__ = ["main"]
