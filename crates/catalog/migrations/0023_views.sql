-- Views: statements that are read under a name, which no table has.
CREATE TABLE views (
    name TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    statement TEXT NOT NULL,
    description TEXT,
    is_read TEXT NOT NULL,
    column_types TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
