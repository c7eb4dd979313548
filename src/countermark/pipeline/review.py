"""Pictures held for review: sealed where they are kept, and shown on the record only.

Each lies in the object store under a key of its own, which is a protected field of its event. So whoever reads the
store alone sees nothing, and erasing the event makes the picture unreadable in every copy of the store.
"""

from __future__ import annotations

from countermark.audit import AuditLog, Warrant
from countermark.audit.pictures import ShownPicture
from countermark.errors import AuditStoreDamaged, NotFound
from countermark.model import Event
from countermark.model.custody import HELD_OBJECT
from countermark.objects import ObjectStore, seal, unseal


def keep(objects: ObjectStore, event: Event, data: bytes) -> tuple[Event, str]:
    """Keep a picture for the reviewer: the event that refers to it, and the key to be protected with that event.

    It is durable when this returns. A crash before the event is leaves an object that nobody has the key of.

    Raises:
        OutputUnwritable: the store refused the write.
    """
    sealed, key = seal(data, event.event_id)
    at = objects.put("held", sealed)
    return event.model_copy(update={"params": {**event.params, HELD_OBJECT: at}}), key


def show(log: AuditLog, objects: ObjectStore, index: int, warrant: Warrant) -> ShownPicture:
    """The picture that was held with an entry, a PNG file; that it is shown is recorded first.

    Raises:
        AuditError: the log is open for reading only.
        NotFound: the entry holds no picture, it was erased, or the object store has it no more.
        KeyUnavailable: no master key, or another one.
        AuditStoreDamaged: the picture or its key was altered.
    """

    def fetch(event: Event, object_key: str, key: str | None) -> bytes:
        try:
            data = objects.get(object_key)
        except NotFound as error:
            raise NotFound(
                f"The picture of entry {index} cannot be brought from {objects.url}: {error.message}",
                remedy="Bring it back from a copy of the store; nothing was shown, and nothing recorded.",
            ) from error
        except AuditStoreDamaged as error:
            raise AuditStoreDamaged(
                f"The picture of entry {index} is not the one that was held: {object_key} was changed in the store.",
                remedy="Keep it as evidence, and bring back a good copy; nothing was shown, and nothing recorded.",
            ) from error
        return data if key is None else unseal(data, key, event.event_id)

    return log.show_picture(index, warrant, fetch)
