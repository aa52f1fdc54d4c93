-- The whole schema, as the migrations make it. Written by PostgreSQL 18's pg_dump; never edited by hand:
--   python -m wafleet.engine.migrate --schema DSN > src/wafleet/engine/schema.sql

CREATE FUNCTION current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('wafleet.tenant'::text, true), ''::text))::uuid;

CREATE FUNCTION folded(words text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (octet_length(words) = length(words)) THEN lower(words) ELSE lower(translate(regexp_replace(words, '[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]'::text, ''::text, 'g'::text), 'آأإٱىةؤئ٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹کی'::text, (('اااايهوي'::text || '01234567890123456789'::text) || 'كي'::text))) END;

CREATE FUNCTION guard_move() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if not exists (select 1 from moves m
                    where m.machine = tg_argv[0] and m.before = old.state and m.after = new.state) then
        raise exception '% cannot move from % to %', tg_argv[0], old.state, new.state
            using errcode = 'check_violation', constraint = tg_argv[0] || '_moves';
    end if;
    return new;
end $$;

CREATE FUNCTION matching_messages(asked text, only_accounts uuid[], in_conversation uuid, in_direction text, in_state text, since timestamp with time zone, until timestamp with time zone, before_at timestamp with time zone, before_seq bigint, most integer) RETURNS TABLE(id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO '$user', 'public'
    AS $$
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

CREATE TABLE accounts (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    phone text NOT NULL,
    transport text NOT NULL,
    role text DEFAULT ''::text NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    desired text DEFAULT 'running'::text NOT NULL,
    state text DEFAULT 'new'::text NOT NULL,
    reason text DEFAULT 'created'::text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    deadline_at timestamp with time zone,
    retry_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    pairing jsonb,
    credentials bytea,
    credentials_hint text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    private bytea,
    remove_until timestamp with time zone,
    provider jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT accounts_desired_check CHECK ((desired = ANY (ARRAY['running'::text, 'stopped'::text]))),
    CONSTRAINT accounts_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT accounts_phone_check CHECK ((phone ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT accounts_state_check CHECK ((state = ANY (ARRAY['new'::text, 'linking'::text, 'connecting'::text, 'online'::text, 'degraded'::text, 'offline'::text, 'recovering'::text, 'logged_out'::text, 'blocked'::text, 'disabled'::text])))
)
WITH (fillfactor='70');
ALTER TABLE ONLY accounts ALTER COLUMN credentials SET STORAGE EXTERNAL;

CREATE TABLE activity (
    account_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    last_inbound_at timestamp with time zone,
    last_sent_at timestamp with time zone,
    last_receipt_at timestamp with time zone,
    lane_why text DEFAULT ''::text NOT NULL,
    lane_until timestamp with time zone,
    online_since timestamp with time zone,
    online_s double precision DEFAULT 0 NOT NULL,
    phone_seen_at timestamp with time zone,
    phone_warned_at timestamp with time zone,
    last_call_at timestamp with time zone,
    call_refused_at timestamp with time zone,
    call_refused text DEFAULT ''::text NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE asks (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    body jsonb NOT NULL,
    answer jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT asks_kind_check CHECK ((kind = ANY (ARRAY['lookup'::text, 'typing'::text, 'read'::text, 'templates'::text])))
);

CREATE TABLE audit (
    id bigint NOT NULL,
    tenant_id uuid,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL
);

ALTER TABLE audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE consumers (
    name text NOT NULL,
    xid xid8 DEFAULT '0'::xid8 NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE conversations (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    identity text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    assigned_to uuid,
    note text DEFAULT ''::text NOT NULL,
    unread integer DEFAULT 0 NOT NULL,
    last_words text DEFAULT ''::text NOT NULL,
    last_direction text DEFAULT 'in'::text NOT NULL,
    last_message_at timestamp with time zone DEFAULT now() NOT NULL,
    last_inbound_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    questions uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    reached_at timestamp with time zone,
    CONSTRAINT conversations_identity_check CHECK (((length(identity) >= 1) AND (length(identity) <= 200))),
    CONSTRAINT conversations_last_direction_check CHECK ((last_direction = ANY (ARRAY['in'::text, 'out'::text]))),
    CONSTRAINT conversations_state_check CHECK ((state = ANY (ARRAY['open'::text, 'closed'::text]))),
    CONSTRAINT conversations_unread_check CHECK ((unread >= 0))
)
WITH (fillfactor='70');

CREATE TABLE data_keys (
    id integer NOT NULL,
    wrapped bytea NOT NULL,
    wrapped_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE data_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME data_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE dead_events (
    consumer text NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    tenant_id uuid,
    account_id uuid,
    kind text NOT NULL,
    at timestamp with time zone NOT NULL,
    data jsonb NOT NULL,
    error text NOT NULL,
    buried_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE events (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint NOT NULL,
    tenant_id uuid,
    account_id uuid,
    kind text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    data jsonb NOT NULL
);

ALTER TABLE events ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME events_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    message_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 200)))
);

CREATE TABLE leases (
    name text NOT NULL,
    holder text,
    epoch bigint DEFAULT 0 NOT NULL,
    expires_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE lookups (
    tenant_id uuid NOT NULL,
    phone text NOT NULL,
    on_whatsapp boolean NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE media (
    tenant_id uuid NOT NULL,
    id text NOT NULL,
    mime text NOT NULL,
    size bigint NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    used boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    touched_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT media_size_check CHECK ((size >= 0))
);

CREATE TABLE memberships (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    CONSTRAINT memberships_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'operator'::text, 'agent'::text, 'viewer'::text])))
);

CREATE TABLE messages (
    id uuid NOT NULL,
    seq bigint NOT NULL,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    direction text NOT NULL,
    content jsonb NOT NULL,
    words text DEFAULT ''::text NOT NULL,
    provider_id text,
    at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    search tsvector GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, folded(words))) STORED,
    about uuid,
    CONSTRAINT messages_direction_check CHECK ((direction = ANY (ARRAY['in'::text, 'out'::text])))
)
WITH (autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='50000');

ALTER TABLE messages ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messages_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE moves (
    machine text NOT NULL,
    before text NOT NULL,
    after text NOT NULL
);

CREATE TABLE nodes (
    name text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    version text NOT NULL,
    draining boolean DEFAULT false NOT NULL
);

CREATE TABLE outbox (
    message_id uuid NOT NULL,
    seq bigint NOT NULL,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    retry_at timestamp with time zone,
    epoch bigint DEFAULT 0 NOT NULL,
    claims integer DEFAULT 0 NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    provider_id text,
    reason text DEFAULT ''::text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    queued_at timestamp with time zone DEFAULT now() NOT NULL,
    sending_at timestamp with time zone,
    sent_at timestamp with time zone,
    delivered_at timestamp with time zone,
    read_at timestamp with time zone,
    ended_at timestamp with time zone,
    said jsonb,
    transport text,
    CONSTRAINT outbox_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'sending'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'failed'::text, 'unknown'::text, 'cancelled'::text])))
)
WITH (fillfactor='60');

CREATE TABLE outdated_clients (
    client text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE retired_credentials (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    credentials bytea NOT NULL,
    reason text NOT NULL,
    retired_at timestamp with time zone DEFAULT now() NOT NULL,
    transport text,
    settings jsonb
);

ALTER TABLE retired_credentials ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME retired_credentials_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE signins (
    token_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    tenant_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE stray_receipts (
    account_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    provider_id text NOT NULL,
    state text NOT NULL,
    at timestamp with time zone NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    reason text DEFAULT ''::text NOT NULL
);

CREATE TABLE tallies (
    account_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    bucket timestamp with time zone NOT NULL,
    counter text NOT NULL,
    n bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE tenants (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenants_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100)))
);

CREATE TABLE tokens (
    id uuid NOT NULL,
    tenant_id uuid,
    name text NOT NULL,
    token_hash bytea NOT NULL,
    hint text NOT NULL,
    scopes text[] NOT NULL,
    accounts uuid[],
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone
);

CREATE TABLE users (
    id uuid NOT NULL,
    email text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    password_hash text NOT NULL,
    platform_admin boolean DEFAULT false NOT NULL,
    disabled_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE wanted_files (
    message_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    transport text NOT NULL,
    reference text NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    why text DEFAULT ''::text NOT NULL
);

ALTER TABLE ONLY accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY activity
    ADD CONSTRAINT activity_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY asks
    ADD CONSTRAINT asks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY consumers
    ADD CONSTRAINT consumers_pkey PRIMARY KEY (name);

ALTER TABLE ONLY conversations
    ADD CONSTRAINT conversations_account_id_identity_key UNIQUE (account_id, identity);

ALTER TABLE ONLY conversations
    ADD CONSTRAINT conversations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY data_keys
    ADD CONSTRAINT data_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY dead_events
    ADD CONSTRAINT dead_events_pkey PRIMARY KEY (consumer, xid, seq);

ALTER TABLE ONLY events
    ADD CONSTRAINT events_pkey PRIMARY KEY (xid, seq);

ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);

ALTER TABLE ONLY leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);

ALTER TABLE ONLY lookups
    ADD CONSTRAINT lookups_pkey PRIMARY KEY (tenant_id, phone);

ALTER TABLE ONLY media
    ADD CONSTRAINT media_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (tenant_id, user_id);

ALTER TABLE ONLY messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY moves
    ADD CONSTRAINT moves_pkey PRIMARY KEY (machine, before, after);

ALTER TABLE ONLY nodes
    ADD CONSTRAINT nodes_pkey PRIMARY KEY (name);

ALTER TABLE ONLY outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY outdated_clients
    ADD CONSTRAINT outdated_clients_pkey PRIMARY KEY (client);

ALTER TABLE ONLY retired_credentials
    ADD CONSTRAINT retired_credentials_pkey PRIMARY KEY (id);

ALTER TABLE ONLY signins
    ADD CONSTRAINT signins_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY stray_receipts
    ADD CONSTRAINT stray_receipts_pkey PRIMARY KEY (account_id, provider_id, state);

ALTER TABLE ONLY tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (account_id, bucket, counter);

ALTER TABLE ONLY tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tokens
    ADD CONSTRAINT tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY wanted_files
    ADD CONSTRAINT wanted_files_pkey PRIMARY KEY (message_id);

CREATE INDEX accounts_deadline ON accounts USING btree (deadline_at) WHERE (deadline_at IS NOT NULL);

CREATE UNIQUE INDEX accounts_name ON accounts USING btree (tenant_id, lower(name)) WHERE (deleted_at IS NULL);

CREATE UNIQUE INDEX accounts_phone ON accounts USING btree (phone) WHERE (deleted_at IS NULL);

CREATE INDEX asks_open ON asks USING btree (account_id) WHERE (answer IS NULL);

CREATE INDEX audit_by_tenant ON audit USING btree (tenant_id, id);

CREATE INDEX conversations_latest ON conversations USING btree (tenant_id, last_message_at DESC, id);

CREATE INDEX conversations_reached ON conversations USING btree (account_id, reached_at) WHERE (reached_at IS NOT NULL);

CREATE INDEX leases_by_holder ON leases USING btree (holder);

CREATE INDEX media_by_id ON media USING btree (id);

CREATE INDEX media_unused ON media USING btree (touched_at) WHERE (NOT used);

CREATE INDEX memberships_by_user ON memberships USING btree (user_id);

CREATE INDEX messages_about ON messages USING btree (about) WHERE (about IS NOT NULL);

CREATE INDEX messages_by_conversation ON messages USING btree (conversation_id, seq);

CREATE INDEX messages_by_time ON messages USING btree (account_id, created_at, seq) INCLUDE (direction, tenant_id);

CREATE UNIQUE INDEX messages_once ON messages USING btree (account_id, provider_id) WHERE (direction = 'in'::text);

CREATE INDEX messages_search ON messages USING gin (search);

CREATE UNIQUE INDEX outbox_by_provider ON outbox USING btree (account_id, provider_id) WHERE (provider_id IS NOT NULL);

CREATE INDEX outbox_by_time ON outbox USING btree (account_id, queued_at) INCLUDE (state, tenant_id);

CREATE UNIQUE INDEX outbox_one_on_the_wire ON outbox USING btree (conversation_id) WHERE (state = 'sending'::text);

CREATE INDEX outbox_order ON outbox USING btree (conversation_id, priority, due_at, seq) WHERE (state = 'queued'::text);

CREATE INDEX outbox_sending ON outbox USING btree (account_id) WHERE (state = 'sending'::text);

CREATE INDEX outbox_unknown ON outbox USING btree (account_id) WHERE (state = 'unknown'::text);

CREATE INDEX outbox_unreceipted ON outbox USING btree (account_id, sent_at) WHERE (state = 'sent'::text);

CREATE INDEX outbox_waiting ON outbox USING btree (account_id, priority, due_at, seq) WHERE (state = 'queued'::text);

CREATE INDEX retired_credentials_by_account ON retired_credentials USING btree (account_id);

CREATE INDEX signins_by_user ON signins USING btree (user_id);

CREATE INDEX stray_receipts_newest ON stray_receipts USING btree (received_at);

CREATE UNIQUE INDEX tenants_name ON tenants USING btree (lower(name));

CREATE INDEX tokens_by_tenant ON tokens USING btree (tenant_id);

CREATE UNIQUE INDEX users_email ON users USING btree (lower(email));

CREATE INDEX wanted_files_due ON wanted_files USING btree (due_at);

CREATE TRIGGER accounts_moves BEFORE UPDATE OF state ON accounts FOR EACH ROW WHEN ((old.state IS DISTINCT FROM new.state)) EXECUTE FUNCTION guard_move('account');

CREATE TRIGGER outbox_moves BEFORE UPDATE OF state ON outbox FOR EACH ROW WHEN ((old.state IS DISTINCT FROM new.state)) EXECUTE FUNCTION guard_move('outbox');

ALTER TABLE ONLY accounts
    ADD CONSTRAINT accounts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY activity
    ADD CONSTRAINT activity_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY activity
    ADD CONSTRAINT activity_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY asks
    ADD CONSTRAINT asks_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY asks
    ADD CONSTRAINT asks_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY audit
    ADD CONSTRAINT audit_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY conversations
    ADD CONSTRAINT conversations_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id);

ALTER TABLE ONLY conversations
    ADD CONSTRAINT conversations_assigned_to_fkey FOREIGN KEY (assigned_to) REFERENCES users(id) ON DELETE SET NULL;

ALTER TABLE ONLY conversations
    ADD CONSTRAINT conversations_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY leases
    ADD CONSTRAINT leases_holder_fkey FOREIGN KEY (holder) REFERENCES nodes(name) ON DELETE SET NULL;

ALTER TABLE ONLY lookups
    ADD CONSTRAINT lookups_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY media
    ADD CONSTRAINT media_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY memberships
    ADD CONSTRAINT memberships_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY memberships
    ADD CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

ALTER TABLE ONLY messages
    ADD CONSTRAINT messages_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES conversations(id) ON DELETE CASCADE;

ALTER TABLE ONLY outbox
    ADD CONSTRAINT outbox_message_id_fkey FOREIGN KEY (message_id) REFERENCES messages(id) ON DELETE CASCADE;

ALTER TABLE ONLY retired_credentials
    ADD CONSTRAINT retired_credentials_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY retired_credentials
    ADD CONSTRAINT retired_credentials_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signins
    ADD CONSTRAINT signins_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signins
    ADD CONSTRAINT signins_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

ALTER TABLE ONLY stray_receipts
    ADD CONSTRAINT stray_receipts_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY stray_receipts
    ADD CONSTRAINT stray_receipts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY tallies
    ADD CONSTRAINT tallies_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY tallies
    ADD CONSTRAINT tallies_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY tokens
    ADD CONSTRAINT tokens_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY wanted_files
    ADD CONSTRAINT wanted_files_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY wanted_files
    ADD CONSTRAINT wanted_files_message_id_fkey FOREIGN KEY (message_id) REFERENCES messages(id) ON DELETE CASCADE;

ALTER TABLE ONLY wanted_files
    ADD CONSTRAINT wanted_files_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;

ALTER TABLE activity ENABLE ROW LEVEL SECURITY;

ALTER TABLE asks ENABLE ROW LEVEL SECURITY;

ALTER TABLE audit ENABLE ROW LEVEL SECURITY;

ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;

ALTER TABLE dead_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE events ENABLE ROW LEVEL SECURITY;

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE lookups ENABLE ROW LEVEL SECURITY;

ALTER TABLE media ENABLE ROW LEVEL SECURITY;

ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;

ALTER TABLE messages ENABLE ROW LEVEL SECURITY;

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_rows ON accounts TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON activity TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON asks TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON audit TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON conversations TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON dead_events TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON events TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON idempotency_keys TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON lookups TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON media TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON memberships TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON messages TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON outbox TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON retired_credentials TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON stray_receipts TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON tallies TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON tenants TO wafleet_tenant USING ((id = current_tenant()));

CREATE POLICY own_rows ON tokens TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

CREATE POLICY own_rows ON users TO wafleet_tenant USING ((EXISTS ( SELECT 1
   FROM memberships m
  WHERE ((m.user_id = users.id) AND (m.tenant_id = current_tenant())))));

CREATE POLICY own_rows ON wanted_files TO wafleet_tenant USING ((tenant_id = current_tenant())) WITH CHECK ((tenant_id = current_tenant()));

ALTER TABLE retired_credentials ENABLE ROW LEVEL SECURITY;

ALTER TABLE stray_receipts ENABLE ROW LEVEL SECURITY;

ALTER TABLE tallies ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE users ENABLE ROW LEVEL SECURITY;

ALTER TABLE wanted_files ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON FUNCTION matching_messages(asked text, only_accounts uuid[], in_conversation uuid, in_direction text, in_state text, since timestamp with time zone, until timestamp with time zone, before_at timestamp with time zone, before_seq bigint, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION matching_messages(asked text, only_accounts uuid[], in_conversation uuid, in_direction text, in_state text, since timestamp with time zone, until timestamp with time zone, before_at timestamp with time zone, before_seq bigint, most integer) TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE accounts TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE activity TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE asks TO wafleet_tenant;

GRANT SELECT,INSERT ON TABLE audit TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE conversations TO wafleet_tenant;

GRANT SELECT ON TABLE dead_events TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE events TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE idempotency_keys TO wafleet_tenant;

GRANT SELECT ON TABLE leases TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE lookups TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE media TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE memberships TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE messages TO wafleet_tenant;

GRANT SELECT ON TABLE moves TO wafleet_tenant;

GRANT SELECT ON TABLE nodes TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE retired_credentials TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE stray_receipts TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tallies TO wafleet_tenant;

GRANT SELECT ON TABLE tenants TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tokens TO wafleet_tenant;

GRANT SELECT ON TABLE users TO wafleet_tenant;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE wanted_files TO wafleet_tenant;
