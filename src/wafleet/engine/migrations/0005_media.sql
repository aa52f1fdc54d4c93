-- Files that messages carry, and which message a message is about.

create table media (                       -- the bytes lie in the media store, once for all tenants
    tenant_id   uuid not null references tenants on delete cascade,
    id          text not null,             -- SHA-256 of the content, hexadecimal
    mime        text not null,
    size        bigint not null check (size >= 0),
    name        text not null default '',
    used        boolean not null default false,  -- a message carries it, so it is kept
    created_at  timestamptz not null default now(),
    touched_at  timestamptz not null default now(),  -- uploaded last
    primary key (tenant_id, id)
);
create index media_by_id on media (id);
create index media_unused on media (touched_at) where not used;
alter table media enable row level security;
create policy own_rows on media to wafleet_tenant
    using (tenant_id = current_tenant()) with check (tenant_id = current_tenant());
grant select, insert, update, delete on media to wafleet_tenant;

-- A column, although `content` says it too: row security forbids PostgreSQL to look into JSON by an index.
alter table messages add column about uuid;  -- the message that this one answers, changes or takes back
create index messages_about on messages (about) where about is not null;
