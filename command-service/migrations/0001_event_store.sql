-- One context's event store. Applied once in each context's own schema (the connection's search_path names it), so no
-- name here is qualified. Migrations only go forward, and never break the version that is running while they apply.

-- What is fixed for the life of the store. One row.
CREATE TABLE store (
    store_id     uuid        NOT NULL,
    lanes        smallint    NOT NULL CHECK (lanes > 0),
    relay_groups smallint    NOT NULL CHECK (relay_groups > 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    only_one     boolean     PRIMARY KEY DEFAULT true CHECK (only_one)
);

-- Also the outbox: the relay reads it lane by lane in seq order, and nothing in it is ever updated or deleted.
CREATE TABLE events (
    seq            bigint      NOT NULL,
    version        bigint      NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    stream_id      uuid        NOT NULL,
    event_id       uuid        NOT NULL,
    correlation_id uuid        NOT NULL,
    causation_id   uuid,
    lane           smallint    NOT NULL,
    event_type     text        NOT NULL,
    traceparent    text,
    -- json, not jsonb: the bytes that were decided are the bytes that are published.
    data           json        NOT NULL,
    PRIMARY KEY (lane, seq),
    UNIQUE (stream_id, version)
);

-- Every (type, version) that was ever stored, so that a start-up can tell whether it can read them all without a scan.
CREATE TABLE event_types (
    event_type text        PRIMARY KEY,
    first_seen timestamptz NOT NULL DEFAULT now()
);

-- A cache of states; dropping it loses nothing.
CREATE TABLE snapshots (
    stream_id uuid   PRIMARY KEY,
    version   bigint NOT NULL,
    shape     bigint NOT NULL,
    state     json   NOT NULL
);

-- What is unique over the context. The numbers of the kinds are in the domain (ClaimKind).
CREATE TABLE claims (
    kind      smallint NOT NULL,
    value     bytea    NOT NULL,
    stream_id uuid     NOT NULL,
    PRIMARY KEY (kind, value)
);
CREATE INDEX claims_by_stream ON claims (stream_id, kind);

-- Accepted answers by idempotency key, for 24 hours. Expired days are dropped as whole partitions.
CREATE TABLE idempotency (
    key        uuid        NOT NULL,
    created_on date        NOT NULL,
    created_at timestamptz NOT NULL,
    request    uuid        NOT NULL,
    stream_id  uuid        NOT NULL,
    version    bigint      NOT NULL,
    seq        bigint,
    lane       smallint    NOT NULL,
    created    boolean     NOT NULL,
    PRIMARY KEY (key, created_on)
) PARTITION BY RANGE (created_on);

-- The keys of personal data, each wrapped by the master key (used in the schema `users`). Destroying one erases a person.
CREATE TABLE personal_keys (
    key_id     uuid        PRIMARY KEY,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Appends a batch, or says what stands in its way and appends nothing.
--
-- Callers pass the locks sorted, so that two batches never wait for each other in a circle. The locks are taken in a
-- statement of their own: under READ COMMITTED each later statement of this VOLATILE function then reads a snapshot
-- that is taken after the locks were granted, and so sees whatever the lanes' last holder committed.
--
-- Every reason to refuse is looked for before anything is inserted, so that no insert can fail and no gap can arise.
-- Rows returned (none: the batch is in):
--   what = 'head'    lane, seq             the lane's head is another than the caller's
--   what = 'stream'  stream_id             a stream that should be new exists
--   what = 'key'     key, request, answer  the idempotency key has an answer
--   what = 'claim'   position              the claim at this position (from 1) is held
CREATE FUNCTION append(
    locks          bigint[],
    lanes          smallint[],
    heads          bigint[],
    new_streams    uuid[],
    keys           uuid[],
    today          date,
    new_types      text[],
    e_seq          bigint[],
    e_version      bigint[],
    e_occurred_at  timestamptz[],
    e_recorded_at  timestamptz[],
    e_stream_id    uuid[],
    e_event_id     uuid[],
    e_correlation  uuid[],
    e_causation    uuid[],
    e_lane         smallint[],
    e_type         text[],
    e_traceparent  text[],
    e_data         text[],
    k_key          uuid[],
    k_created_at   timestamptz[],
    k_request      uuid[],
    k_stream_id    uuid[],
    k_version      bigint[],
    k_seq          bigint[],
    k_lane         smallint[],
    k_created      boolean[],
    t_kind         smallint[],
    t_value        bytea[],
    t_stream_id    uuid[],
    t_forever      boolean[],
    r_kind         smallint[],
    r_stream_id    uuid[]
) RETURNS TABLE (
    what      text,
    "position" integer,
    key       uuid,
    request   uuid,
    stream_id uuid,
    version   bigint,
    seq       bigint,
    lane      smallint,
    created   boolean
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    lock_key bigint;
    refused  boolean := false;
    inserted integer;
BEGIN
    FOREACH lock_key IN ARRAY locks LOOP
        PERFORM pg_advisory_xact_lock(lock_key);
    END LOOP;

    RETURN QUERY
        SELECT 'head', NULL::integer, NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, actual.seq, expected.lane, NULL::boolean
        FROM unnest(lanes, heads) AS expected (lane, seq)
        CROSS JOIN LATERAL (SELECT coalesce(max(e.seq), 0) AS seq FROM events e WHERE e.lane = expected.lane) AS actual
        WHERE actual.seq <> expected.seq;
    refused := refused OR FOUND;

    IF cardinality(keys) > 0 THEN
        RETURN QUERY
            SELECT 'key', NULL::integer, i.key, i.request, i.stream_id, i.version, i.seq, i.lane, i.created
            FROM idempotency i
            WHERE i.key = ANY (keys) AND i.created_on BETWEEN today - 1 AND today AND i.created_at > now() - interval '24 hours';
        refused := refused OR FOUND;
    END IF;

    IF cardinality(new_streams) > 0 THEN
        RETURN QUERY
            SELECT 'stream', NULL::integer, NULL::uuid, NULL::uuid, e.stream_id, NULL::bigint, NULL::bigint, NULL::smallint, NULL::boolean
            FROM events e WHERE e.stream_id = ANY (new_streams) AND e.version = 1;
        refused := refused OR FOUND;
    END IF;

    IF cardinality(t_kind) > 0 THEN
        RETURN QUERY
            SELECT 'claim', t.position::integer, NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, NULL::bigint, NULL::smallint, NULL::boolean
            FROM unnest(t_kind, t_value, t_stream_id, t_forever) WITH ORDINALITY AS t (kind, value, stream_id, forever, position)
            JOIN claims c ON c.kind = t.kind AND c.value = t.value
            WHERE t.forever OR c.stream_id <> t.stream_id;
        refused := refused OR FOUND;
    END IF;

    IF refused THEN
        RETURN;
    END IF;

    IF cardinality(new_types) > 0 THEN
        INSERT INTO event_types (event_type) SELECT unnest(new_types) ON CONFLICT DO NOTHING;
    END IF;

    INSERT INTO events (seq, version, occurred_at, recorded_at, stream_id, event_id, correlation_id, causation_id, lane, event_type, traceparent, data)
        SELECT e.seq, e.version, e.occurred_at, e.recorded_at, e.stream_id, e.event_id, e.correlation_id, e.causation_id, e.lane, e.event_type, e.traceparent, e.data::json
        FROM unnest(e_seq, e_version, e_occurred_at, e_recorded_at, e_stream_id, e_event_id, e_correlation, e_causation, e_lane, e_type, e_traceparent, e_data)
            AS e (seq, version, occurred_at, recorded_at, stream_id, event_id, correlation_id, causation_id, lane, event_type, traceparent, data);

    IF cardinality(k_key) > 0 THEN
        -- Callers pass the keys sorted: two batches that insert the same keys wait for each other, never in a circle.
        INSERT INTO idempotency (key, created_on, created_at, request, stream_id, version, seq, lane, created)
            SELECT k.key, today, k.created_at, k.request, k.stream_id, k.version, k.seq, k.lane, k.created
            FROM unnest(k_key, k_created_at, k_request, k_stream_id, k_version, k_seq, k_lane, k_created)
                AS k (key, created_at, request, stream_id, version, seq, lane, created)
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS inserted = ROW_COUNT;
        IF inserted <> cardinality(k_key) THEN
            -- The same key on two streams at the same moment; the loser decides again and then finds the answer.
            RAISE EXCEPTION 'an idempotency key was stored by another batch meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;

    IF cardinality(r_kind) > 0 THEN
        DELETE FROM claims c USING unnest(r_kind, r_stream_id) AS r (kind, stream_id)
            WHERE c.kind = r.kind AND c.stream_id = r.stream_id;
    END IF;
    IF cardinality(t_kind) > 0 THEN
        DELETE FROM claims c USING unnest(t_kind, t_stream_id, t_forever) AS t (kind, stream_id, forever)
            WHERE NOT t.forever AND c.kind = t.kind AND c.stream_id = t.stream_id;
        INSERT INTO claims (kind, value, stream_id) SELECT unnest(t_kind), unnest(t_value), unnest(t_stream_id);
    END IF;
END
$$;
