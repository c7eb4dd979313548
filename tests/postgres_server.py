"""A PostgreSQL server for tests: started once a session, in a temporary folder, on a free port, and never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

ACCOUNTS = ("postgres", "nobody")
DEBIAN = Path("/usr/lib/postgresql")
# Small and quick to start, and as durable as in earnest: nothing here is switched off.
CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "64MB",
    "max_connections": "150",
    "log_min_messages": "panic",
}


class Lacking(Exception):
    """What this machine lacks to run a server, and how to have it."""


@dataclass
class Server:
    """A running server. Anyone on this host may be its superuser ``postgres``."""

    folder: Path
    port: int
    binaries: Path
    account: str | None
    _names: Iterator[int] = field(default_factory=count)

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """The address of a new database, a copy of ``template``."""
        name = f"log{next(self._names)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" ENCODING \'UTF8\'')
        return self.url(name)

    def execute(self, statement: str, url: str | None = None) -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(url or self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def control(self, *arguments: str) -> None:
        """``pg_ctl`` as the server's own account."""
        log = self.folder / "log"
        command = [str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), "-l", str(log), "-w", *arguments]
        _run(command, self.account)


def _run(command: list[str], account: str | None) -> None:
    if account:
        command = ["runuser", "-u", account, "--", *command]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/"
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout.decode(errors='replace')}")


def _binaries() -> Path:
    found = [path.parent for path in sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    if not found:
        raise Lacking("PostgreSQL's server is not installed: apt-get install postgresql")
    return found[-1]


def _account() -> str | None:
    """Who is to run the server: another account where this one is root."""
    if os.geteuid() != 0:
        return None
    if not shutil.which("runuser"):
        raise Lacking("PostgreSQL refuses to run as root, and runuser (util-linux) is not there to become another user")
    for name in ACCOUNTS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise Lacking(f"PostgreSQL refuses to run as root, and there is no account {' or '.join(ACCOUNTS)}")


def memory_folder() -> Path | None:
    """A folder in memory, where the hundreds of files of each database come and go quickly."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30 else None


@contextmanager
def running(parent: Path | None = None) -> Iterator[Server]:
    """A server while the block runs, its files in a new folder of ``parent`` (default: where temporary files go).

    Raises:
        Lacking: this machine cannot run one.
    """
    binaries, account = _binaries(), _account()
    with tempfile.TemporaryDirectory(prefix="pg-", dir=parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if account:
            shutil.chown(folder, account)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Server(folder, port, binaries, account)
        initdb = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
        _run([*initdb, "--locale=C"], account)
        options = {**CONFIGURATION, "port": str(port), "unix_socket_directories": str(folder)}
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in options.items())
        server.control("start")
        try:
            yield server
        finally:
            server.control("-m", "immediate", "stop")
