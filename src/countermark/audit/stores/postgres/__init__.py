"""A log in PostgreSQL: any number of writers, on any hosts, and one sequencer among them.

Writers put events into ``inbox``. Whichever of them holds the sequencer's lock takes them from there, gives them their
index, grows the tree and signs it; the others wait in its place should it end. An append returns when a signed
checkpoint covers its entry.

Needs PostgreSQL 14 or newer, the extra ``postgres``, a database encoded in UTF-8, and connections that keep their
session: a pooler must be in session mode, because the sequencer's lock belongs to its session.

Rights. The owner of the tables makes and migrates them. Who may append without ever sequencing (``sequence=False``)
needs only::

    GRANT SELECT ON ALL TABLES IN SCHEMA public TO writer;
    GRANT INSERT ON inbox, pending TO writer;

Who may become the sequencer holds the signing key as well, and needs in addition::

    GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO sequencer;

All of these log in as one role: so one may end the session of another that was stopped, and take its place.

Who only reads and proves needs ``SELECT``. No right on these tables lets anyone change the past unseen: that is what
the record of signed heads is for, which is kept in another database that the administrator of this one cannot write.
"""
