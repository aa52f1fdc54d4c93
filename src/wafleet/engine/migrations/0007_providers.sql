-- Numbers that live at providers: what these say of them, when they last called, and how numbers moved.

alter table accounts add column provider jsonb not null default '{}';  -- its last words: quality, limit, status
alter table activity
    add column last_call_at     timestamptz,             -- when its provider last called us, and proved that it was it
    add column call_refused_at  timestamptz,             -- when a call was refused last, and why
    add column call_refused     text not null default '';
alter table retired_credentials                          -- of an account that was moved: where it was before
    add column transport  text,
    add column settings   jsonb;
