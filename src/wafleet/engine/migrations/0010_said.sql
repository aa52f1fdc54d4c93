-- What a network said of a message beyond its state, as it came: its price, and whatever nobody knows yet.
-- A receipt that came before its message's name was stored keeps the reason of a failure.

alter table outbox add column said jsonb;
alter table stray_receipts add column reason text not null default '';
