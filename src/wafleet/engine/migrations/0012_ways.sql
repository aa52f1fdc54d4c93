-- By which transport a message last went on the wire: the only network that can tell what became of it, should its
-- account have moved since. Null for what went out before this was noted.

alter table outbox add column transport text;

-- Receipts whose message was named in the same moment on another node are looked for among the newest.
create index stray_receipts_newest on stray_receipts (received_at);
