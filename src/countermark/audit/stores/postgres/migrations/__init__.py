"""Alembic's migrations of a log's tables, written in plain SQL. Run by :mod:`..schema`, never by hand."""
