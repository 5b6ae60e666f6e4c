-- What tables ask of their uploads. A table without a row asks for nothing.
CREATE TABLE contracts (
    table_id TEXT NOT NULL PRIMARY KEY REFERENCES tables (id),
    contract TEXT NOT NULL,
    coerces BIGINT NOT NULL,
    principal TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
