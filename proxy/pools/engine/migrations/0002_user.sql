-- Users, what they sign in with, their groups, and the codes they were sent.
-- TEXT and BIGINT only; times are epoch milliseconds; flags are 0 or 1.
-- What belongs to a user goes with the user, and what belongs to a pool goes with the pool.

CREATE TABLE users (
    pool_id             TEXT   NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    sub                 TEXT   NOT NULL,
    username            TEXT   NOT NULL, -- as it was given
    username_key        TEXT   NOT NULL, -- its canonical form: equal names have equal keys
    status              TEXT   NOT NULL,
    enabled             BIGINT NOT NULL,
    created_ms          BIGINT NOT NULL,
    modified_ms         BIGINT NOT NULL,
    attributes          TEXT   NOT NULL, -- JSON object, name to text; all but sub
    -- Search keys of ListUsers, made from the attributes and cut to 257 characters (a filter has at most 256).
    email               TEXT,
    phone_number        TEXT,
    name                TEXT,
    given_name          TEXT,
    family_name         TEXT,
    preferred_username  TEXT,
    -- Credentials; all NULL for a user without a password.
    password_hash       TEXT,            -- sealed
    srp_salt            TEXT,
    srp_verifier        TEXT,            -- sealed
    password_ms         BIGINT,
    password_expires_ms BIGINT,          -- set while the password is temporary
    password_history    TEXT,            -- sealed JSON array of hashes, the newest first
    PRIMARY KEY (pool_id, sub)
);

CREATE UNIQUE INDEX users_username ON users (pool_id, username_key);
CREATE INDEX users_status ON users (pool_id, status, sub);
CREATE INDEX users_enabled ON users (pool_id, enabled, sub);
CREATE INDEX users_email ON users (pool_id, email, sub) WHERE email IS NOT NULL;
CREATE INDEX users_phone_number ON users (pool_id, phone_number, sub) WHERE phone_number IS NOT NULL;
CREATE INDEX users_name ON users (pool_id, name, sub) WHERE name IS NOT NULL;
CREATE INDEX users_given_name ON users (pool_id, given_name, sub) WHERE given_name IS NOT NULL;
CREATE INDEX users_family_name ON users (pool_id, family_name, sub) WHERE family_name IS NOT NULL;
CREATE INDEX users_preferred_username ON users (pool_id, preferred_username, sub)
    WHERE preferred_username IS NOT NULL;

-- What a user may sign in with besides the username.
CREATE TABLE aliases (
    pool_id TEXT NOT NULL,
    kind    TEXT NOT NULL, -- email, phone_number or preferred_username
    value   TEXT NOT NULL, -- canonical
    sub     TEXT NOT NULL,
    PRIMARY KEY (pool_id, kind, value),
    FOREIGN KEY (pool_id, sub) REFERENCES users (pool_id, sub) ON DELETE CASCADE
);

CREATE UNIQUE INDEX aliases_user ON aliases (pool_id, sub, kind);

CREATE TABLE groups (
    pool_id     TEXT   NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    name        TEXT   NOT NULL,
    description TEXT,
    role_arn    TEXT,
    precedence  BIGINT,
    created_ms  BIGINT NOT NULL,
    modified_ms BIGINT NOT NULL,
    PRIMARY KEY (pool_id, name)
);

CREATE TABLE memberships (
    pool_id    TEXT NOT NULL,
    group_name TEXT NOT NULL,
    sub        TEXT NOT NULL,
    PRIMARY KEY (pool_id, group_name, sub),
    FOREIGN KEY (pool_id, group_name) REFERENCES groups (pool_id, name) ON DELETE CASCADE,
    FOREIGN KEY (pool_id, sub) REFERENCES users (pool_id, sub) ON DELETE CASCADE
);

CREATE INDEX memberships_user ON memberships (pool_id, sub, group_name);

-- The one live code of a user for a purpose; a new one takes its place.
CREATE TABLE codes (
    pool_id    TEXT   NOT NULL,
    sub        TEXT   NOT NULL,
    purpose    TEXT   NOT NULL,
    code       TEXT   NOT NULL, -- sealed
    attribute  TEXT   NOT NULL, -- the address it was sent to …
    value      TEXT   NOT NULL, -- … and its value at that time
    expires_ms BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    PRIMARY KEY (pool_id, sub, purpose),
    FOREIGN KEY (pool_id, sub) REFERENCES users (pool_id, sub) ON DELETE CASCADE
);

-- How often a user did something in the hour that began with the first time.
CREATE TABLE allowances (
    pool_id    TEXT   NOT NULL,
    sub        TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    started_ms BIGINT NOT NULL,
    used       BIGINT NOT NULL,
    PRIMARY KEY (pool_id, sub, action),
    FOREIGN KEY (pool_id, sub) REFERENCES users (pool_id, sub) ON DELETE CASCADE
);
