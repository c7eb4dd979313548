"""The tables of a log."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

# Text compares by its bytes, as in every other store: what a page of a listing holds must not depend on a locale.
_TABLES = """
CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text COLLATE "C" NOT NULL UNIQUE CHECK (event_id ~ '^[0-9a-f]{32}$'),
    body bytea NOT NULL CHECK (octet_length(body) <= 65535),
    sealed bytea CHECK (octet_length(sealed) <= 1048576),
    channel text NOT NULL CHECK (channel ~ '^countermark_[0-9a-f]{32}$'));
CREATE TABLE refused (inbox_id bigint PRIMARY KEY, event_id text COLLATE "C" NOT NULL, reason text NOT NULL);
CREATE TABLE sequencer (id integer PRIMARY KEY CHECK (id = 0), epoch bigint NOT NULL);
CREATE TABLE entry (seq bigint PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE tile (level integer NOT NULL, idx bigint NOT NULL, hashes bytea NOT NULL, PRIMARY KEY (level, idx));
CREATE TABLE head (id integer PRIMARY KEY CHECK (id = 0), size bigint NOT NULL, root bytea NOT NULL,
                   note text NOT NULL);
CREATE TABLE checkpoint (size bigint PRIMARY KEY, note text NOT NULL);
CREATE TABLE blob (event_id text COLLATE "C" NOT NULL, field text NOT NULL, ciphertext bytea NOT NULL,
                   PRIMARY KEY (event_id, field));
CREATE TABLE secret (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key_id text COLLATE "C" NOT NULL UNIQUE,
                     master_id text NOT NULL, wrapped_dek bytea NOT NULL);
CREATE TABLE pending (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, attempt text COLLATE "C" NOT NULL UNIQUE,
                      tenant text NOT NULL, time text NOT NULL, session bigint NOT NULL);
"""
_INDEX_TABLE = """
CREATE TABLE event_index (
    seq bigint PRIMARY KEY, leaf bytea NOT NULL,
    event_id text COLLATE "C" NOT NULL UNIQUE, time text COLLATE "C" NOT NULL, type text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL, attempt text COLLATE "C" NOT NULL, decision text COLLATE "C",
    model text COLLATE "C", policy text COLLATE "C", output_sha256 text COLLATE "C", manifest_sha256 text COLLATE "C",
    watermark_payload text COLLATE "C", fingerprint text COLLATE "C", actor text COLLATE "C",
    categories text COLLATE "C", words text COLLATE "C");
"""
_LOOKED_UP = ("attempt", "output_sha256", "manifest_sha256", "watermark_payload")
_LISTED_BY = ("time", "type", "tenant", "actor", "decision", "model", "policy")
_SETS = ("categories", "words")
INDEX = (
    _INDEX_TABLE,
    *(f"CREATE INDEX by_{name} ON event_index ({name}) WHERE {name} IS NOT NULL" for name in _LOOKED_UP),
    *(f"CREATE INDEX by_{name} ON event_index ({name}, seq) WHERE {name} IS NOT NULL" for name in _LISTED_BY),
    *(f"CREATE INDEX by_{name} ON event_index USING gin (string_to_array({name}, ' '))" for name in _SETS),
    "CREATE INDEX with_fingerprint ON event_index (seq) WHERE fingerprint IS NOT NULL",
)
"""The look-up index, which can be made anew."""


def upgrade() -> None:
    """Make them."""
    for statement in (_TABLES, *INDEX):
        op.execute(statement)
    op.execute("INSERT INTO sequencer VALUES (0, 0)")
    # Bodies are hashes, digests and short texts; compressing them costs the sequencer more than it saves.
    op.execute("ALTER TABLE inbox ALTER body SET STORAGE EXTERNAL")
