-- Reading messages by time: lists, search and the daily ledger.

-- Replaces the index by (account_id, seq): everything that is read per account is read by time.
create index messages_by_time on messages (account_id, created_at, seq) include (direction, tenant_id);
drop index messages_by_account;

-- Which messages match a search, newest first. Row security forbids PostgreSQL to use an index with an operator that
-- could leak rows, and text search has only such; therefore this function looks past it, and limits itself to the
-- tenant by hand. It returns nothing but ids, which the caller reads under row security again.
create function matching_messages(asked text, only_accounts uuid[], in_conversation uuid, in_direction text, in_state text,
                                  since timestamptz, until timestamptz, before_at timestamptz, before_seq bigint,
                                  most int)
    returns table (id uuid)
    language sql stable security definer set search_path from current as $$
    select m.id
      from messages m
     where m.search @@ websearch_to_tsquery('simple', folded(asked))
       and (m.tenant_id = current_tenant() or current_setting('role') <> 'wafleet_tenant')
       and (only_accounts is null or m.account_id = any(only_accounts))
       and (in_conversation is null or m.conversation_id = in_conversation)
       and (in_direction is null or m.direction = in_direction)
       and (in_state is null or exists (select from outbox o where o.message_id = m.id and o.state = in_state))
       and (since is null or m.created_at >= since)
       and (until is null or m.created_at < until)
       and (before_at is null or (m.created_at, m.seq) < (before_at, before_seq))
     order by m.created_at desc, m.seq desc
     limit most
$$;
revoke execute on function matching_messages from public;
grant execute on function matching_messages to wafleet_tenant;

-- The ledger counts a day's messages from these two indexes alone; therefore they hold the tenant, which row security
-- asks for, and vacuum is asked to see new pages of a table that is only ever added to.
create index outbox_by_time on outbox (account_id, queued_at) include (state, tenant_id);
alter table messages set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000);
