-- What was asked in a conversation, so that a number a customer writes back is their answer; and when the account last
-- began to talk to somebody who had not written, which the providers' daily limits count.

alter table conversations
    add column questions uuid[] not null default '{}',
    add column reached_at timestamptz;

create index conversations_reached on conversations (account_id, reached_at) where reached_at is not null;
