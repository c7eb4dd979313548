"""The folder of one installation, and the adapters that its settings choose."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from countermark.audit import AuditLog, NoteSigner, default_origin
from countermark.audit.note import format_vkey
from countermark.credentials import Anchors, DevelopmentPki, SigningIdentity, load_identity
from countermark.errors import KeyUnavailable, NotFound, OutputUnwritable, SettingsInvalid
from countermark.keys import KeyRing, Purpose
from countermark.model import ActorRef
from countermark.objects import ObjectStore
from countermark.settings import Settings

if TYPE_CHECKING:
    from countermark.watermark.interface import Watermark

_ELSEWHERE = "audit.elsewhere"
"""Where a home whose log is in PostgreSQL keeps that log's name."""
LOST = (
    "Restore them from a backup, or copy them from another host of the same log; or make new ones with: "
    "countermark keys init. New ones read nothing of what was made with the old."
)


class Home:
    """The folder of one installation (``COUNTERMARK_HOME``) and what lives in it; made only when asked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.home

    @property
    def keys(self) -> KeyRing:
        """The key ring in ``keys/``."""
        return KeyRing.open(self.folder / "keys", self.settings.keys)

    @property
    def audit_db(self) -> Path:
        """The audit log's store, where it is kept in this folder."""
        return self.folder / "audit.db"

    @property
    def log_address(self) -> Path | str:
        """Where the audit log is kept: :attr:`audit_db`, or the address of a database."""
        return self.settings.audit.url or self.audit_db

    def has_log(self) -> bool:
        """Whether there is an audit log yet.

        Raises:
            EnvironmentLacking: its database cannot be reached.
        """
        if not self.settings.audit.url:
            return self.audit_db.exists()
        try:
            AuditLog.open(self.settings.audit.url, read_only=True).close()
        except NotFound:
            return False
        return True

    @property
    def fingerprints(self) -> Path:
        """The cache of the log's fingerprints; may be deleted at any time."""
        return self.folder / "fingerprints.idx"

    @property
    def origin(self) -> str:
        """The log's name: set, or derived from its key so that no two installations share one."""
        if self.settings.log.origin:
            return self.settings.log.origin
        return default_origin(self.keys)

    def make(self) -> None:
        """Make the folder and every key that is missing.

        Raises:
            OutputUnwritable: the folder cannot be made or written.
            KeyUnavailable: keys are lost. Others in their place would go unnoticed until somebody asks about a picture
                that the old ones marked.
        """
        if lost := self.lost_keys():
            raise KeyUnavailable(f"Keys are gone from {self.keys.folder}: {', '.join(lost)}.", remedy=LOST)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # ValueError: a name that no folder can have
            reason = getattr(error, "strerror", None) or error
            raise OutputUnwritable(
                f"The home folder {self.folder} cannot be made: {reason}.",
                remedy="Set COUNTERMARK_HOME to a folder that you own.",
            ) from error
        self.keys.ensure()

    def lost_keys(self) -> tuple[Purpose, ...]:
        """Keys that are missing beside a log, so that there must have been some.

        Raises:
            EnvironmentLacking: keys are missing, and whether there is a log cannot be known.
        """
        if not self.keys.missing() or not self.has_log():
            return ()
        return self.keys.missing()  # again: whoever made the log meanwhile made keys first

    def note_signer(self) -> NoteSigner:
        """What signs the log's checkpoints."""
        return NoteSigner(self.origin, self.keys.ed25519(Purpose.AUDIT_LOG))

    def log_public_key(self) -> bytes | None:
        """The log's key of the ring, 32 bytes; ``None`` where the ring does not have it or may not be read."""
        try:
            return self.note_signer().verifier.public_key if self.keys.epochs(Purpose.AUDIT_LOG) else None
        except (KeyUnavailable, OSError):
            return None

    def open_log(self, *, read_only: bool = False, held: str | None = None) -> AuditLog:
        """The audit log. One process at a time may write to it, unless it is in PostgreSQL.

        ``held``: a checkpoint kept elsewhere, to vouch for it where the record of what was signed was lost. Where the
        ring has the log's key, a log is read by that one, whatever its store says.

        Raises:
            SettingsInvalid: for writing: this would be a second log under the name and key of another.
        """
        signed = self.settings.audit.signed or self.folder / "signed.db"
        masters = self._masters(needed=not read_only)
        if not masters and not read_only:
            raise KeyUnavailable("There is no master key yet.", remedy="Make it with: countermark keys init")
        if not read_only:
            self._refuse_second_log()
        log = AuditLog.open(
            self.log_address,
            signer=None if read_only else self.note_signer(),
            master_key=masters[0] if masters else None,
            older_master_keys=masters[1:],
            signed=signed,
            read_only=read_only,
            held=held,
        )
        if not read_only and self.settings.audit.url:  # only now: where no log was made, there is none to refuse
            with suppress(OSError):  # the folder may hold keys and be closed to writing
                (self.folder / _ELSEWHERE).write_text(f"{self.origin}\n")
        key = self.log_public_key() if read_only else None
        if key:
            log.verifier_key = format_vkey(log.origin, key)
        return log

    def _refuse_second_log(self) -> None:
        """Two logs of one name and key contradict each other, and neither knows what the other recorded.

        It takes no more than a worker that is started without ``audit.url``, or with it for the first time.
        """
        elsewhere = self.folder / _ELSEWHERE
        if not self.settings.audit.url:
            if not self.audit_db.exists() and elsewhere.is_file() and elsewhere.read_text().strip() == self.origin:
                raise SettingsInvalid(
                    f"The log of {self.folder} is in PostgreSQL, and the setting audit.url does not say where.",
                    remedy="Set audit.url (COUNTERMARK_AUDIT__URL), or name another home for a log of its own.",
                )
            return
        if self.audit_db.exists() and not self.has_log():
            with AuditLog.open(self.audit_db, read_only=True) as log:
                if log.origin == self.origin:
                    raise SettingsInvalid(
                        f"{self.audit_db} is the log '{self.origin}' already: one in PostgreSQL would be a second"
                        " history under the same name and key.",
                        remedy="Begin it in a new home, which has keys and a name of its own; keep this one to read.",
                    )

    def _masters(self, *, needed: bool) -> list[bytes]:
        """What opens protected fields, the newest first; who reads the log need not be who may read this."""
        try:
            return self.keys.secrets(Purpose.MASTER)
        except (KeyUnavailable, OSError):
            if needed:
                raise
            return []

    def open_objects(self, *, patient: bool = True) -> ObjectStore:
        """Where released images and manifests are kept; ``patient`` as of :meth:`ObjectStore.open`."""
        return ObjectStore.open(self.settings.objects or self.folder / "objects", patient=patient)

    def watermark(self) -> Watermark:
        """The watermark that settings name, keyed from the ring, every live epoch tried when detecting."""
        ring, chosen = self.keys, self.settings.watermark
        epochs = ring.epochs(Purpose.WATERMARK)
        if not epochs:
            raise KeyUnavailable("There is no watermark key yet.")
        newest = epochs[-1]
        if chosen.backend == "imwatermark":
            from countermark.watermark import InvisibleWatermark

            key, *older = ring.secrets(Purpose.WATERMARK)
            return InvisibleWatermark(chosen.method, key=key, older_keys=older)
        from countermark.watermark import Lattice

        keys = {epoch: ring.secret(Purpose.WATERMARK, epoch) for epoch in epochs}
        return Lattice(key=keys[newest], epoch=newest, keys=keys, psnr=chosen.target_psnr)

    def identity(self) -> SigningIdentity:
        """Who signs manifests: the configured certificate, else a development PKI made at first use."""
        chosen = self.settings.credentials
        if chosen.chain and chosen.key:
            return load_identity(chosen.chain, chosen.key, timestamp_url=chosen.timestamp_url)
        return replace(DevelopmentPki.ensure(self.certificates), timestamp_url=chosen.timestamp_url)

    def anchors(self) -> Anchors:
        """Whose manifests are trusted: the configured anchors, and this installation's own development root."""
        chosen = self.settings.credentials
        root = self.certificates / "root.pem"
        return Anchors.load(
            manifest=[chosen.anchors] if chosen.anchors else [],
            tsa=[chosen.timestamp_anchors] if chosen.timestamp_anchors else [],
            development=[root] if root.exists() else [],
        )

    @property
    def certificates(self) -> Path:
        """Where the development PKI lives."""
        return self.folder / "keys" / "c2pa"

    def log_keys(self) -> tuple[str, ...]:
        """The verifier keys of the logs that this installation trusts: its own."""
        return (self.note_signer().verifier_key,) if self.keys.epochs(Purpose.AUDIT_LOG) else ()

    def pseudonym(self, actor: str) -> ActorRef | None:
        """A keyed pseudonym: the same person reads the same, and nobody can guess who it is without the key."""
        return self.pseudonyms(actor)[0] if actor else None

    def pseudonyms(self, actor: str) -> tuple[ActorRef, ...]:
        """All pseudonyms that a person had or has, one for each epoch of the key, the newest first."""
        epochs = reversed(self.keys.epochs(Purpose.PSEUDONYM) or (None,))
        return tuple(self._pseudonym(actor, epoch) for epoch in epochs)

    def _pseudonym(self, actor: str, epoch: int | None) -> ActorRef:
        key = self.keys.secret(Purpose.PSEUDONYM, epoch)
        digest = hmac.digest(key, b"actor\0" + actor.encode(), hashlib.sha256)
        return ActorRef(pseudonym=digest.hex()[:32], key_id=self.keys.key_id(Purpose.PSEUDONYM, epoch))
