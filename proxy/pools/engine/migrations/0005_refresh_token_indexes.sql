-- Who asks for a sign-in's tokens knows its user: one index serves both, so that a sign-in writes a page less.
CREATE INDEX refresh_tokens_sign_in ON refresh_tokens (pool_id, sub, origin);

DROP INDEX refresh_tokens_user;
DROP INDEX refresh_tokens_origin;
