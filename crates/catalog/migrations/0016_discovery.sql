-- What people say of tables (no column name) and of their columns.
CREATE TABLE annotations (
    table_id TEXT NOT NULL REFERENCES tables (id),
    column_name TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,
    classification TEXT,
    principal TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (table_id, column_name)
);

-- The words of tables: each once for a table, with the weight of the places that it is found in.
CREATE TABLE search_postings (
    word TEXT NOT NULL,
    table_id TEXT NOT NULL REFERENCES tables (id),
    weight BIGINT NOT NULL,
    places BIGINT NOT NULL,
    PRIMARY KEY (table_id, word)
);

CREATE INDEX search_postings_word ON search_postings (word, weight, table_id);

CREATE TABLE search_words (
    word TEXT NOT NULL PRIMARY KEY,
    uses BIGINT NOT NULL
);

-- Every word without one of its letters: two words that share one of these differ by one slip of the keys.
CREATE TABLE search_slips (
    slip TEXT NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (slip, word)
);

-- How often tables were read, by day.
CREATE TABLE table_reads (
    table_id TEXT NOT NULL REFERENCES tables (id),
    day TEXT NOT NULL,
    reads BIGINT NOT NULL,
    PRIMARY KEY (table_id, day)
);

CREATE INDEX table_reads_day ON table_reads (day);

-- What happened in the catalog, in the order of its transactions.
CREATE TABLE changes (
    number BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    changed_at TEXT NOT NULL
);

CREATE INDEX changes_age ON changes (changed_at);
