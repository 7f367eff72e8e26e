-- append() takes what the unique indexes say for granted, and looks only when they object: it costs a third less.
--
-- Signature and answers are as before, so that a version that is running while this applies notices nothing.

-- Appends a batch, or says what stands in its way and appends nothing.
--
-- Callers pass the locks sorted, so that two batches never wait for each other in a circle, and the keys to be stored for
-- the same reason. The locks are taken in a statement of their own: under READ COMMITTED each later statement of this
-- VOLATILE function then reads a snapshot that is taken after the locks were granted, and so sees whatever the lanes' last
-- holder committed.
--
-- New streams and today's keys are not looked for first: their unique indexes refuse what is there already, all that was
-- inserted is taken back (the block with EXCEPTION is a subtransaction), and the second round looks for everything. The
-- caller numbers the events, so that what is taken back leaves no gap.
-- Rows returned (none: the batch is in):
--   what = 'head'    lane, seq             the lane's head is another than the caller's; 0 when it is lower
--   what = 'stream'  stream_id             a stream that should be new exists
--   what = 'key'     key, request, answer  the idempotency key has an answer
--   what = 'claim'   position              the claim at this position (from 1) is held
CREATE OR REPLACE FUNCTION append(
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
    refused   boolean := false;
    -- What a unique index said in the first round.
    objection text;
    last_day  date;
BEGIN
    PERFORM pg_advisory_xact_lock(lock_key) FROM unnest(locks) AS lock_key;

    LOOP
        -- From the expected head on: without that bound, a whole page of the index is read for each lane.
        RETURN QUERY
            SELECT 'head', NULL::integer, NULL::uuid, NULL::uuid, NULL::uuid, NULL::bigint, actual.seq, expected.lane, NULL::boolean
            FROM unnest(lanes, heads) AS expected (lane, seq)
            CROSS JOIN LATERAL (
                SELECT coalesce(max(e.seq), 0) AS seq FROM events e WHERE e.lane = expected.lane AND e.seq >= expected.seq
            ) AS actual
            WHERE actual.seq <> expected.seq;
        refused := refused OR FOUND;

        IF cardinality(keys) > 0 THEN
            -- The keys of refused commands are not stored, so that no index would object to them.
            last_day := CASE WHEN objection IS NOT NULL OR cardinality(keys) > cardinality(k_key) THEN today ELSE today - 1 END;
            RETURN QUERY
                SELECT 'key', NULL::integer, i.key, i.request, i.stream_id, i.version, i.seq, i.lane, i.created
                FROM idempotency i
                WHERE i.key = ANY (keys) AND i.created_on BETWEEN today - 1 AND last_day AND i.created_at > now() - interval '24 hours';
            refused := refused OR FOUND;
        END IF;

        IF objection IS NOT NULL AND cardinality(new_streams) > 0 THEN
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
        IF objection IS NOT NULL THEN
            -- No batch that was decided on what is stored meets this: a defect of the caller, which should forget what it knows.
            RAISE EXCEPTION '%', objection USING ERRCODE = 'unique_violation';
        END IF;

        BEGIN
            -- unnest in the select list: in FROM each array would be written to a tuple store of its own first.
            IF cardinality(k_key) > 0 THEN
                INSERT INTO idempotency (key, created_on, created_at, request, stream_id, version, seq, lane, created)
                    SELECT unnest(k_key), today, unnest(k_created_at), unnest(k_request), unnest(k_stream_id), unnest(k_version),
                        unnest(k_seq), unnest(k_lane), unnest(k_created);
            END IF;

            INSERT INTO events (seq, version, occurred_at, recorded_at, stream_id, event_id, correlation_id, causation_id, lane, event_type, traceparent, data)
                SELECT unnest(e_seq), unnest(e_version), unnest(e_occurred_at), unnest(e_recorded_at), unnest(e_stream_id),
                    unnest(e_event_id), unnest(e_correlation), unnest(e_causation), unnest(e_lane), unnest(e_type),
                    unnest(e_traceparent), unnest(e_data)::json;

            IF cardinality(new_types) > 0 THEN
                INSERT INTO event_types (event_type) SELECT unnest(new_types) ON CONFLICT DO NOTHING;
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
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            objection := SQLERRM;
        END;
    END LOOP;
END
$$;
