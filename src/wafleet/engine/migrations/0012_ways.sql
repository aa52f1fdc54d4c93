-- By which transport a message last went on the wire: the only network that can tell what became of it, should its
-- account have moved since. Null for what went out before this was noted.

alter table outbox add column transport text;
