-- Networks are asked for their approved templates too.

alter table asks
    drop constraint asks_kind_check,
    add constraint asks_kind_check check (kind in ('lookup', 'typing', 'read', 'templates'));
