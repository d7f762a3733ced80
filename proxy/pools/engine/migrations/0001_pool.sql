-- Pools, app clients, signing keys, revocations, the change feed, and the check values of seal keys.
-- What belongs to a pool references it with ON DELETE CASCADE, so deleting a pool is one statement.

CREATE TABLE seal_checks (
    key_id TEXT NOT NULL PRIMARY KEY,
    sealed TEXT NOT NULL
);

CREATE TABLE pools (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- The settings document in AWS's shape, without what the columns say.
    settings TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    modified_ms BIGINT NOT NULL
);

CREATE TABLE clients (
    id TEXT NOT NULL PRIMARY KEY,
    pool_id TEXT NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    modified_ms BIGINT NOT NULL
);

CREATE INDEX clients_of_pool ON clients (pool_id, id);

-- A table of its own because a client may have two live secrets while one is exchanged.
CREATE TABLE client_secrets (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    sealed TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (client_id, id)
);

-- The key in use of each kind is the one with the latest active_ms that has passed.
CREATE TABLE signing_keys (
    pool_id TEXT NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    kid TEXT NOT NULL,
    -- 'id' or 'access': ID and access tokens are signed by different keys.
    kind TEXT NOT NULL,
    -- PKCS#8, sealed.
    sealed TEXT NOT NULL,
    -- The public modulus, base64url, as in the JWKS.
    modulus TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    active_ms BIGINT NOT NULL,
    PRIMARY KEY (pool_id, kid)
);

-- No references: a revocation outlives what it revokes.
CREATE TABLE revocations (
    -- 'origin', 'user', 'client', 'pool'.
    kind TEXT NOT NULL,
    pool_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Tokens made at or before this instant are revoked.
    not_before_ms BIGINT NOT NULL,
    -- No token it could revoke lives beyond.
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, pool_id, subject)
);

CREATE INDEX revocations_by_expiry ON revocations (expires_ms);

-- What other processes must forget or learn. at_ms is the database's clock; rows are kept for minutes.
CREATE TABLE changes (
    id TEXT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    pool_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    not_before_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX changes_by_time ON changes (at_ms);
