-- Files that customers sent and that their network keeps: fetched in the background, and gone from here once they came.

create table wanted_files (
    message_id  uuid primary key references messages on delete cascade,
    tenant_id   uuid not null references tenants on delete cascade,
    account_id  uuid not null references accounts on delete cascade,
    transport   text not null,             -- the account's when the message came: what the reference means
    reference   text not null,
    tries       int not null default 0,    -- with the message, the fence of what becomes of a try
    due_at      timestamptz not null default now(),
    why         text not null default ''   -- of the last try
);
create index wanted_files_due on wanted_files (due_at);
alter table wanted_files enable row level security;
create policy own_rows on wanted_files to wafleet_tenant
    using (tenant_id = current_tenant()) with check (tenant_id = current_tenant());
grant select, insert, update, delete on wanted_files to wafleet_tenant;
