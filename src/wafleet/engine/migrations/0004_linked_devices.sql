-- Linked devices: checkpoints of their sessions, passwords in settings, the phones behind them, questions to WhatsApp.

-- A device's credentials are large and change as it works. Encrypted bytes do not compress, so it is not tried; they lie
-- beside the table, where lists do not read them.
alter table accounts alter column credentials set storage external;
alter table accounts
    add column private       bytea,        -- encrypted: the passwords that `settings` shows as ***
    add column remove_until  timestamptz;  -- the device is to be removed from its phone's list; given up then

alter table activity
    add column phone_seen_at    timestamptz,  -- when the phone itself was last in touch with WhatsApp
    add column phone_warned_at  timestamptz;  -- when its long absence was last told

create table outdated_clients (            -- what WhatsApp refuses as too old; gone once it is accepted again
    client     text primary key,           -- name and version
    since      timestamptz not null default now(),
    seen_at    timestamptz not null default now()
);

create table asks (                        -- questions to the network, carried out by whoever holds the session
    id          uuid primary key,
    tenant_id   uuid not null references tenants on delete cascade,
    account_id  uuid not null references accounts on delete cascade,
    kind        text not null check (kind in ('lookup', 'typing', 'read')),
    body        jsonb not null,
    answer      jsonb,                     -- null: not answered yet
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null
);
create index asks_open on asks (account_id) where answer is null;

create table lookups (                     -- what the network said lately about phones
    tenant_id    uuid not null references tenants on delete cascade,
    phone        text not null,
    on_whatsapp  boolean not null,
    asked_at     timestamptz not null default now(),
    primary key (tenant_id, phone)
);

do $$
declare
    name text;
begin
    foreach name in array array['asks', 'lookups']
    loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy own_rows on %I to wafleet_tenant using (tenant_id = current_tenant()) '
                       'with check (tenant_id = current_tenant())', name);
        execute format('grant select, insert, update, delete on %I to wafleet_tenant', name);
    end loop;
end $$;
