-- The notifier's own schema: what it has read, what it does about that, and to whom. Names are qualified, so that services can
-- share a database.

CREATE SCHEMA IF NOT EXISTS notifier;

-- The last version of each stream that was handled. An event at or below it has been here before and causes nothing, whatever
-- offsets the consumer group begins at.
CREATE TABLE notifier.streams (
    context   text   NOT NULL,
    stream_id uuid   NOT NULL,
    version   bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (context, stream_id)
);

-- What messages are written from. Names and addresses stay sealed, as the events have them: destroying a person's key
-- erases them here too.
CREATE TABLE notifier.orders (
    order_id uuid PRIMARY KEY,
    user_id  uuid,
    managed  boolean NOT NULL,
    currency text    NOT NULL,
    total    bigint  NOT NULL,
    lines    jsonb   NOT NULL
);

CREATE TABLE notifier.payments (
    payment_id uuid PRIMARY KEY,
    order_id   uuid NOT NULL,
    user_id    uuid
);

CREATE TABLE notifier.users (
    user_id uuid PRIMARY KEY,
    name    jsonb,
    email   jsonb,
    active  boolean NOT NULL DEFAULT true
);

CREATE TABLE notifier.products (
    product_id uuid PRIMARY KEY,
    name       text NOT NULL
);

-- Telephone numbers, sealed under their owner's key.
CREATE TABLE notifier.contacts (
    user_id uuid PRIMARY KEY,
    phone   jsonb NOT NULL
);

CREATE TABLE notifier.endpoints (
    endpoint_id   uuid PRIMARY KEY,
    owner         text NOT NULL,
    url           text NOT NULL,
    event_types   text[] NOT NULL,
    -- Sealed under NOTIFIER_KEY.
    secret        bytea NOT NULL,
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Since the last success.
    failures      integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    disabled_at   timestamptz,
    disabled_why  text
);
CREATE INDEX ON notifier.endpoints (owner, created_at);

-- The effect ledger. A row is there before anything is sent, once for each event, kind and recipient.
CREATE TABLE notifier.effects (
    -- The message id that recipients see: derived from the three below.
    effect_id  uuid PRIMARY KEY,
    event_id   uuid NOT NULL,
    kind       text NOT NULL,
    -- An endpoint or a user, never an address.
    recipient  uuid NOT NULL,
    event_type text NOT NULL,
    -- Who sends it: `webhook:ENDPOINT`, `email`, `sms`.
    mailbox    text NOT NULL,
    payload    text NOT NULL,
    state      text NOT NULL CHECK (state IN ('pending', 'sent', 'skipped', 'failed')),
    -- Times that it was taken up, in all and since it was last made due by hand.
    attempts   integer NOT NULL DEFAULT 0,
    tries      integer NOT NULL DEFAULT 0,
    -- When it may be taken up (again). Taking it up moves this on, so that whoever dies with it in hand leaves it for later.
    due_at     timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Where giving up counts from.
    begun_at   timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    -- What the provider answered.
    receipt    text,
    -- Why it is not sent.
    cause      text,
    UNIQUE (event_id, kind, recipient)
);
CREATE INDEX ON notifier.effects (mailbox, due_at) WHERE state = 'pending';
CREATE INDEX ON notifier.effects (mailbox, created_at DESC, effect_id);

-- The delivery log.
CREATE TABLE notifier.attempts (
    effect_id   uuid NOT NULL REFERENCES notifier.effects ON DELETE CASCADE,
    attempt     integer NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    outcome     text NOT NULL,
    -- HTTP or SMTP.
    status      integer,
    cause       text,
    duration_ms integer NOT NULL,
    PRIMARY KEY (effect_id, attempt)
);

-- What happened to an endpoint itself.
CREATE TABLE notifier.endpoint_log (
    endpoint_id uuid NOT NULL REFERENCES notifier.endpoints ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT now(),
    what        text NOT NULL,
    why         text
);
CREATE INDEX ON notifier.endpoint_log (endpoint_id, at DESC);

-- Events of known types that could not be decoded: kept for a person to look at, then passed over.
CREATE TABLE notifier.unreadable (
    topic         text NOT NULL,
    partition     integer NOT NULL,
    record_offset bigint NOT NULL,
    key           text,
    why           text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, record_offset)
);
