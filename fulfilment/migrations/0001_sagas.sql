-- The order saga: what is known of each order, what is to be done next, and what was done. Names are qualified, so that
-- services can share a database; a saga's row is locked by whoever changes anything of its order here.

CREATE SCHEMA IF NOT EXISTS fulfilment;

CREATE TABLE fulfilment.sagas (
    order_id uuid PRIMARY KEY,
    -- Who may see it; null for a guest's.
    user_id uuid,
    -- The order's version up to which its events are known here. What comes again is passed over: this is the inbox.
    version bigint NOT NULL,
    state jsonb NOT NULL,
    stage text NOT NULL,
    -- The name of why it was turned round.
    ending text,
    -- How many times an operator has had the step under way taken again after it was refused.
    round integer NOT NULL DEFAULT 0,
    -- What the provider calls the money that it has set aside, and that it has taken.
    authorisation text,
    capture text,
    -- W3C trace context of the order's placement: what follows from it is part of that.
    traceparent text,
    placed_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sagas_by_stage ON fulfilment.sagas (stage, placed_at, order_id);

-- The step that is to be taken for an order, written with the state that it follows from. One an order: steps are in order.
CREATE TABLE fulfilment.effects (
    order_id uuid PRIMARY KEY REFERENCES fulfilment.sagas,
    step jsonb NOT NULL,
    -- The idempotency key, within the order.
    key text NOT NULL,
    -- Not before this. Whoever takes the step moves it to the moment when others may think that he is dead.
    due timestamptz NOT NULL,
    -- How many times it was begun.
    attempts integer NOT NULL DEFAULT 0,
    -- Who is at it.
    token uuid,
    -- Since when it waits for a person.
    parked_at timestamptz,
    -- Why the last attempt told nothing.
    error text
);
CREATE INDEX effects_due ON fulfilment.effects (due) WHERE parked_at IS NULL;

-- When the time for an authorisation is over. Stopping a timer deletes it.
CREATE TABLE fulfilment.timers (
    order_id uuid PRIMARY KEY REFERENCES fulfilment.sagas,
    due timestamptz NOT NULL
);
CREATE INDEX timers_due ON fulfilment.timers (due);

-- Every attempt at a step and what came of it, and what operators did.
CREATE TABLE fulfilment.attempts (
    order_id uuid NOT NULL REFERENCES fulfilment.sagas,
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    took_ms bigint NOT NULL,
    step text NOT NULL,
    key text NOT NULL,
    -- done, refused, unknown or late (answered after somebody else had taken over); retry, skip or abort by an operator.
    outcome text NOT NULL,
    detail text,
    -- The operator.
    who text,
    PRIMARY KEY (order_id, id)
);

-- Records of the orders' topic that could not be read, and were passed over.
CREATE TABLE fulfilment.unreadable (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    cause text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
);
