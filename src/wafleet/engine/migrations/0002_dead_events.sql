-- Events that a consumer could not handle, put aside so that those behind them are; copies, for the log is trimmed.

create table dead_events (
    consumer    text not null,
    xid         xid8 not null,
    seq         bigint not null,
    tenant_id   uuid,
    account_id  uuid,
    kind        text not null,
    at          timestamptz not null,
    data        jsonb not null,
    error       text not null,
    buried_at   timestamptz not null default now(),
    primary key (consumer, xid, seq)
);
alter table dead_events enable row level security;
create policy own_rows on dead_events to wafleet_tenant
    using (tenant_id = current_tenant()) with check (tenant_id = current_tenant());
grant select on dead_events to wafleet_tenant;
