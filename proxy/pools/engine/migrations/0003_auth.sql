-- Refresh tokens, failed sign-ins, challenges already answered, and the key that derives what must not be guessed.
-- TEXT and BIGINT only; times are epoch milliseconds.

-- A token is looked up by its digest; the token itself is kept nowhere. All tokens that descend from one sign-in share
-- its origin, which the access and ID tokens name in origin_jti.
CREATE TABLE refresh_tokens (
    digest      TEXT   NOT NULL PRIMARY KEY, -- SHA-256, base64url
    pool_id     TEXT   NOT NULL,
    client_id   TEXT   NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    sub         TEXT   NOT NULL,
    origin      TEXT   NOT NULL,
    event_id    TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    auth_ms     BIGINT NOT NULL, -- the sign-in
    expires_ms  BIGINT NOT NULL,
    replaced_ms BIGINT,          -- rotation gave out its successor
    revoked_ms  BIGINT
);

CREATE INDEX refresh_tokens_user ON refresh_tokens (pool_id, sub);
CREATE INDEX refresh_tokens_origin ON refresh_tokens (pool_id, origin);
CREATE INDEX refresh_tokens_client ON refresh_tokens (client_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_ms);

-- Wrong passwords since the last right one. The subject is a user's sub, or a digest of a name nobody has.
CREATE TABLE sign_in_failures (
    pool_id         TEXT   NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    subject         TEXT   NOT NULL,
    failures        BIGINT NOT NULL,
    locked_until_ms BIGINT NOT NULL,
    expires_ms      BIGINT NOT NULL, -- forgotten from then on
    PRIMARY KEY (pool_id, subject)
);

CREATE INDEX sign_in_failures_expiry ON sign_in_failures (expires_ms);

-- Challenges are sealed into what the client holds; the id of an answered one stands here until it would be too old.
CREATE TABLE answered_challenges (
    id         TEXT   NOT NULL PRIMARY KEY,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX answered_challenges_expiry ON answered_challenges (expires_ms);

-- Random keys of our own, sealed; made when they are first needed.
CREATE TABLE derivation_keys (
    name   TEXT NOT NULL PRIMARY KEY,
    sealed TEXT NOT NULL
);
