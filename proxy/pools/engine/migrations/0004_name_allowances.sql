-- How often a name was tried at clients that hide who exists: counted alike for users and for names that nobody has.
CREATE TABLE name_allowances (
    pool_id    TEXT   NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL, -- derived from the name, which may be anything
    action     TEXT   NOT NULL,
    started_ms BIGINT NOT NULL,
    used       BIGINT NOT NULL,
    PRIMARY KEY (pool_id, name, action)
);

CREATE INDEX name_allowances_started ON name_allowances (started_ms);
