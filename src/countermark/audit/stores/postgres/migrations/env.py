"""Alembic's entry point: runs the migrations over the connection that :func:`..schema.migrate` hands in."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
