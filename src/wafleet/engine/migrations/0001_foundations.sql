-- Every table that holds a tenant's rows has `tenant_id` and a policy: under the role wafleet_tenant a transaction
-- sees the rows of the tenant named by the setting `wafleet.tenant`, and nothing when none is named.

do $$ begin
    if not exists (select from pg_roles where rolname = 'wafleet_tenant') then
        create role wafleet_tenant nologin;
    end if;
exception when duplicate_object or unique_violation then null;  -- another database of this server made it just now
end $$;
do $$ begin
    execute format('grant wafleet_tenant to %I', current_user);
end $$;

create function current_tenant() returns uuid language sql stable parallel safe
    return nullif(current_setting('wafleet.tenant', true), '')::uuid;

-- What may follow what, for every state machine. Python's MOVES is the same table; a test compares them.
create table moves (
    machine text not null,
    before  text not null,
    after   text not null,
    primary key (machine, before, after)
);
insert into moves (machine, before, after)
select 'account', before, unnest(string_to_array(after, ' '))
  from (values
    ('new',        'linking connecting disabled offline'),
    ('linking',    'new connecting online offline logged_out blocked disabled'),
    ('connecting', 'online degraded recovering linking new offline logged_out blocked disabled'),
    ('online',     'degraded recovering connecting linking offline logged_out blocked disabled'),
    ('degraded',   'online recovering connecting linking offline logged_out blocked disabled'),
    ('offline',    'connecting recovering linking new logged_out blocked disabled'),
    ('recovering', 'online degraded connecting linking offline logged_out blocked disabled'),
    ('logged_out', 'linking connecting disabled'),
    ('blocked',    'connecting linking logged_out disabled'),
    ('disabled',   'new connecting linking logged_out offline blocked')
  ) as m (before, after)
union all
select 'outbox', before, unnest(string_to_array(after, ' '))
  from (values
    ('queued',    'sending failed cancelled'),
    ('sending',   'queued sent delivered read failed unknown'),
    ('sent',      'delivered read failed'),
    ('delivered', 'read'),
    ('unknown',   'sent delivered read failed')
  ) as m (before, after);

create function guard_move() returns trigger language plpgsql as $$
begin
    if not exists (select 1 from moves m
                    where m.machine = tg_argv[0] and m.before = old.state and m.after = new.state) then
        raise exception '% cannot move from % to %', tg_argv[0], old.state, new.state
            using errcode = 'check_violation', constraint = tg_argv[0] || '_moves';
    end if;
    return new;
end $$;

-- Arabic as people type it, folded to what they mean: no vowel signs, one alef, one yeh, one heh, Western digits.
create function folded(words text) returns text language sql immutable parallel safe strict
    return lower(translate(
        regexp_replace(words, '[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]', '', 'g'),
        U&'\0622\0623\0625\0671\0649\0629\0624\0626\0660\0661\0662\0663\0664\0665\0666\0667\0668\0669\06f0\06f1\06f2\06f3\06f4\06f5\06f6\06f7\06f8\06f9\06a9\06cc',
        U&'\0627\0627\0627\0627\064a\0647\0648\064a' || '01234567890123456789' || U&'\0643\064a'));

-- Installation -------------------------------------------------------------------------------------------------

create table data_keys (               -- keys that encrypt secrets, themselves wrapped by the master key
    id          int primary key generated always as identity,
    wrapped     bytea not null,
    wrapped_by  text not null,         -- fingerprint of the master key
    created_at  timestamptz not null default now()
);

create table nodes (
    name        text primary key,
    started_at  timestamptz not null default now(),
    seen_at     timestamptz not null default now(),
    version     text not null,
    draining    boolean not null default false
);

create table leases (
    name        text primary key,
    holder      text references nodes (name) on delete set null,
    epoch       bigint not null default 0,  -- grows by one each time the lease changes hands
    expires_at  timestamptz not null default '-infinity'
) with (fillfactor = 50);
create index leases_by_holder on leases (holder);

-- Tenants ------------------------------------------------------------------------------------------------------

create table tenants (
    id          uuid primary key,
    name        text not null check (length(name) between 1 and 100),
    created_at  timestamptz not null default now()
);
create unique index tenants_name on tenants (lower(name));

create table users (
    id              uuid primary key,
    email           text not null,
    name            text not null default '',
    password_hash   text not null,
    platform_admin  boolean not null default false,
    disabled_at     timestamptz,
    created_at      timestamptz not null default now()
);
create unique index users_email on users (lower(email));

create table memberships (
    tenant_id   uuid not null references tenants on delete cascade,
    user_id     uuid not null references users on delete cascade,
    role        text not null check (role in ('owner', 'admin', 'operator', 'agent', 'viewer')),
    primary key (tenant_id, user_id)
);
create index memberships_by_user on memberships (user_id);

create table signins (
    token_hash  bytea primary key,
    user_id     uuid not null references users on delete cascade,
    tenant_id   uuid references tenants on delete cascade,  -- the tenant being looked at; null: the whole fleet
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null
);
create index signins_by_user on signins (user_id);

create table tokens (
    id            uuid primary key,
    tenant_id     uuid references tenants on delete cascade,  -- null: the whole fleet
    name          text not null,
    token_hash    bytea not null unique,
    hint          text not null,       -- the last 4 characters
    scopes        text[] not null,
    accounts      uuid[],              -- null: every account of the tenant
    created_by    text not null,
    created_at    timestamptz not null default now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
create index tokens_by_tenant on tokens (tenant_id);

create table audit (
    id         bigint primary key generated always as identity,
    tenant_id  uuid references tenants on delete cascade,
    at         timestamptz not null default now(),
    actor      text not null,
    action     text not null,
    subject    text not null,
    detail     jsonb not null default '{}'
);
create index audit_by_tenant on audit (tenant_id, id);

-- Event log ----------------------------------------------------------------------------------------------------

create table events (
    xid         xid8 not null default pg_current_xact_id(),
    seq         bigint generated always as identity,
    tenant_id   uuid,
    account_id  uuid,
    kind        text not null,
    at          timestamptz not null default now(),
    data        jsonb not null,
    primary key (xid, seq)
);

create table consumers (
    name        text primary key,
    xid         xid8 not null default '0',
    seq         bigint not null default 0,
    updated_at  timestamptz not null default now()
) with (fillfactor = 50);

-- Accounts -----------------------------------------------------------------------------------------------------

create table accounts (
    id                uuid primary key,
    tenant_id         uuid not null references tenants,
    name              text not null check (length(name) between 1 and 100),
    phone             text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    transport         text not null,
    role              text not null default '',
    priority          int not null default 0,        -- higher starts first
    metadata          jsonb not null default '{}',
    settings          jsonb not null default '{}',
    desired           text not null default 'running' check (desired in ('running', 'stopped')),
    state             text not null default 'new' check (state in ('new', 'linking', 'connecting', 'online', 'degraded',
                                                        'offline', 'recovering', 'logged_out', 'blocked', 'disabled')),
    reason            text not null default 'created',
    detail            text not null default '',
    state_since       timestamptz not null default now(),
    deadline_at       timestamptz,                   -- when a state that must not last is left
    retry_at          timestamptz,                   -- when connecting is tried again
    failures          int not null default 0,        -- connects that failed since it was last online
    pairing           jsonb,                         -- while it is linked: what the person must do now (qr, code, expires_at)
    credentials       bytea,                         -- encrypted
    credentials_hint  text not null default '',      -- the last 4 characters
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    deleted_at        timestamptz
) with (fillfactor = 70);
create unique index accounts_phone on accounts (phone) where deleted_at is null;
create unique index accounts_name on accounts (tenant_id, lower(name)) where deleted_at is null;
create index accounts_deadline on accounts (deadline_at) where deadline_at is not null;
create trigger accounts_moves before update of state on accounts for each row
    when (old.state is distinct from new.state) execute function guard_move('account');

create table retired_credentials (
    id           bigint primary key generated always as identity,
    tenant_id    uuid not null references tenants on delete cascade,
    account_id   uuid not null references accounts on delete cascade,
    credentials  bytea not null,
    reason       text not null,
    retired_at   timestamptz not null default now()
);
create index retired_credentials_by_account on retired_credentials (account_id);

create table activity (                -- one row per account, written by batches of its traffic
    account_id       uuid primary key references accounts on delete cascade,
    tenant_id        uuid not null references tenants on delete cascade,
    last_inbound_at  timestamptz,
    last_sent_at     timestamptz,
    last_receipt_at  timestamptz,
    lane_why         text not null default '',            -- why its lane waits, and until when
    lane_until       timestamptz,
    online_since     timestamptz,
    online_s         double precision not null default 0  -- seconds online before online_since
) with (fillfactor = 50);

create table tallies (                 -- counts per five minutes; older ones are folded into days
    account_id  uuid not null references accounts on delete cascade,
    tenant_id   uuid not null references tenants on delete cascade,
    bucket      timestamptz not null,
    counter     text not null,
    n           bigint not null,
    primary key (account_id, bucket, counter)
) with (fillfactor = 70);

-- Conversations and messages -----------------------------------------------------------------------------------

create table conversations (
    id               uuid primary key,
    tenant_id        uuid not null references tenants on delete cascade,
    account_id       uuid not null references accounts,
    identity         text not null check (length(identity) between 1 and 200),
    name             text not null default '',
    state            text not null default 'open' check (state in ('open', 'closed')),
    assigned_to      uuid references users on delete set null,
    note             text not null default '',
    unread           int not null default 0 check (unread >= 0),
    last_words       text not null default '',
    last_direction   text not null default 'in' check (last_direction in ('in', 'out')),
    last_message_at  timestamptz not null default now(),
    last_inbound_at  timestamptz,
    created_at       timestamptz not null default now(),
    unique (account_id, identity)
) with (fillfactor = 70);
create index conversations_latest on conversations (tenant_id, last_message_at desc, id);

create table messages (                    -- its conversation vouches for its tenant and account
    id               uuid primary key,
    seq              bigint not null generated always as identity,
    tenant_id        uuid not null,
    account_id       uuid not null,
    conversation_id  uuid not null references conversations on delete cascade,
    direction        text not null check (direction in ('in', 'out')),
    content          jsonb not null,
    words            text not null default '',
    provider_id      text,                 -- of incoming messages; outgoing ones have theirs in the outbox
    at               timestamptz not null, -- when the network, or the sender, says it was written
    created_at       timestamptz not null default now(),
    search           tsvector generated always as (to_tsvector('simple', folded(words))) stored
);
create unique index messages_once on messages (account_id, provider_id) where direction = 'in';
create index messages_by_conversation on messages (conversation_id, seq);
create index messages_by_account on messages (account_id, seq);
create index messages_search on messages using gin (search);

create table outbox (                      -- the way of each outgoing message; `messages` holds what it says
    message_id       uuid primary key references messages on delete cascade,
    seq              bigint not null,
    tenant_id        uuid not null,
    account_id       uuid not null,
    conversation_id  uuid not null,
    priority         smallint not null default 0,
    state            text not null default 'queued' check (state in ('queued', 'sending', 'sent', 'delivered', 'read',
                                                        'failed', 'unknown', 'cancelled')),
    due_at           timestamptz not null default now(),  -- when the sender wants it to go
    retry_at         timestamptz,          -- not before this: throttled, or tried in vain
    epoch            bigint not null default 0,           -- of the lease that put it on the wire
    claims           int not null default 0,              -- times it was put on the wire: with the epoch, the fence
    attempts         smallint not null default 0,         -- tries that count against the limit
    provider_id      text,
    reason           text not null default '',
    detail           text not null default '',
    queued_at        timestamptz not null default now(),
    sending_at       timestamptz,
    sent_at          timestamptz,
    delivered_at     timestamptz,
    read_at          timestamptz,
    ended_at         timestamptz           -- when it failed, was cancelled or became unknown
) with (fillfactor = 60);
create index outbox_waiting on outbox (account_id, priority, due_at, seq) where state = 'queued';
create index outbox_order on outbox (conversation_id, priority, due_at, seq) where state = 'queued';
create index outbox_sending on outbox (account_id) where state = 'sending';
create unique index outbox_one_on_the_wire on outbox (conversation_id) where state = 'sending';
create unique index outbox_by_provider on outbox (account_id, provider_id) where provider_id is not null;
create index outbox_unreceipted on outbox (account_id, sent_at) where state = 'sent';
create index outbox_unknown on outbox (account_id) where state = 'unknown';
create trigger outbox_moves before update of state on outbox for each row
    when (old.state is distinct from new.state) execute function guard_move('outbox');

create table idempotency_keys (
    tenant_id    uuid not null references tenants on delete cascade,
    key          text not null check (length(key) between 1 and 200),
    message_id   uuid not null,
    fingerprint  bytea not null,           -- of the request: the same key with another body is refused
    created_at   timestamptz not null default now(),
    primary key (tenant_id, key)
);

create table stray_receipts (              -- they came before the network's name for the message was stored
    account_id   uuid not null references accounts on delete cascade,
    tenant_id    uuid not null references tenants on delete cascade,
    provider_id  text not null,
    state        text not null,
    at           timestamptz not null,
    detail       text not null default '',
    received_at  timestamptz not null default now(),
    primary key (account_id, provider_id, state)
);

-- Row-level security -------------------------------------------------------------------------------------------

do $$
declare
    name text;
begin
    for name in select c.table_name from information_schema.columns c
                 where c.table_schema = current_schema() and c.column_name = 'tenant_id' and c.table_name <> 'signins'
    loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy own_rows on %I to wafleet_tenant using (tenant_id = current_tenant()) '
                       'with check (tenant_id = current_tenant())', name);
        execute format('grant select, insert, update, delete on %I to wafleet_tenant', name);
    end loop;
end $$;
alter table tenants enable row level security;
create policy own_rows on tenants to wafleet_tenant using (id = current_tenant());
grant select on tenants to wafleet_tenant;
alter table users enable row level security;
create policy own_rows on users to wafleet_tenant
    using (exists (select 1 from memberships m where m.user_id = users.id and m.tenant_id = current_tenant()));
grant select on users to wafleet_tenant;
grant select on moves, nodes, leases to wafleet_tenant;
revoke update, delete on audit from wafleet_tenant;  -- what was done stays written
