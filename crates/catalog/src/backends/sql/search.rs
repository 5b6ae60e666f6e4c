//! The words of tables.

use arrow_schema::Schema;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{NamespaceName, SearchHit, TableEntry, TableReads, postings, slips};
use sqlx::AnyConnection;

use super::{SqlBackend, annotations, assembled::Assembled, entries, find_hits, push_visible, schemas};
use crate::{
    CatalogError, Discovery, SearchQuery,
    columns::{number, read_number},
    discovery_rows::PopularRow,
    rows::TableRow,
};

/// How many words one statement enters: the database counts its values.
const WORDS_PER_STATEMENT: usize = 500;
/// How days are written.
const DAY: &str = "%Y-%m-%d";

#[async_trait]
impl Discovery for SqlBackend {
    async fn search(&self, query: &SearchQuery) -> Result<Vec<SearchHit>, CatalogError> {
        let mut connection = self.readers.acquire().await?;
        find_hits::search(&mut connection, query).await
    }

    async fn index_missing(&self, limit: u32) -> Result<u64, CatalogError> {
        let mut write = self.write().await?;
        let rows: Vec<TableRow> = sqlx::query_as(
            "SELECT * FROM tables WHERE state = 'active' AND NOT EXISTS \
             (SELECT 1 FROM search_postings p WHERE p.table_id = tables.id) ORDER BY id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&mut *write)
        .await?;
        let tables: Vec<TableEntry> = entries(rows)?;
        for table in &tables {
            index(&mut write, table).await?;
        }
        write.commit().await?;
        Ok(tables.len() as u64)
    }

    async fn count_reads(&self, reads: &[TableReads], at: DateTime<Utc>) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        for (table, reads) in reads {
            sqlx::query(
                "INSERT INTO table_reads (table_id, day, reads) SELECT id, $2, $3 FROM tables WHERE id = $1 \
                 ON CONFLICT (table_id, day) DO UPDATE SET reads = table_reads.reads + excluded.reads",
            )
            .bind(table.to_string())
            .bind(at.format(DAY).to_string())
            .bind(number("reads", *reads)?)
            .execute(&mut *write)
            .await?;
        }
        Ok(write.commit().await?)
    }

    async fn popular(
        &self,
        since: DateTime<Utc>,
        visible: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<Vec<(TableEntry, u64)>, CatalogError> {
        let mut query = Assembled::new(
            "SELECT t.*, r.read_count FROM tables t JOIN (SELECT table_id, CAST(SUM(reads) AS BIGINT) AS read_count \
             FROM table_reads WHERE day >= ",
        );
        query.push_bind(since.format(DAY).to_string());
        query.push(" GROUP BY table_id) r ON r.table_id = t.id WHERE t.state = 'active'");
        push_visible(&mut query, "t.namespace", visible);
        query.push(" ORDER BY r.read_count DESC, t.name LIMIT ").push_bind(i64::from(limit));
        let rows: Vec<PopularRow> = query.build_query_as().fetch_all(&self.readers).await?;
        rows.into_iter().map(|row| Ok((row.table.try_into()?, read_number("reads", row.read_count)?))).collect()
    }
}

/// Enter the words of a table in the place of those that it had, within a transaction.
pub(super) async fn index(connection: &mut AnyConnection, table: &TableEntry) -> Result<(), CatalogError> {
    forget(connection, table).await?;
    let notes = annotations::find(&mut *connection, table.id).await?;
    let latest = schemas::find_latest(&mut *connection, table.id).await?;
    let columns = latest.map(|latest| columns(&latest.schema)).unwrap_or_default();
    let postings = postings(table, &notes, &columns);
    for some in postings.chunks(WORDS_PER_STATEMENT) {
        let mut insert = Assembled::new("INSERT INTO search_postings (word, table_id, weight, places) ");
        insert.push_rows(some.iter().map(|posting| {
            [(&posting.word).into(), table.id.to_string().into(), posting.weight.into(), posting.places.into()]
        }));
        insert.build().execute(&mut *connection).await?;
        let mut insert = Assembled::new("INSERT INTO search_words (word, uses) ");
        insert.push_rows(some.iter().map(|posting| [(&posting.word).into(), 1.into()]));
        insert.push(" ON CONFLICT (word) DO UPDATE SET uses = search_words.uses + 1 RETURNING word, uses");
        let uses: Vec<(String, i64)> = insert.build_query_as().fetch_all(&mut *connection).await?;
        let new = uses.into_iter().filter(|(_, uses)| *uses == 1).map(|(word, _)| word);
        enter_slips(connection, new).await?;
    }
    Ok(())
}

/// The names of columns and of the fields within them, with their comments.
fn columns(schema: &Schema) -> Vec<(String, Option<String>)> {
    let fields = schema.flattened_fields().into_iter();
    fields.map(|field| (field.name().clone(), field.metadata().get("comment").cloned())).collect()
}

async fn enter_slips(connection: &mut AnyConnection, words: impl Iterator<Item = String>) -> Result<(), CatalogError> {
    let all: Vec<(String, String)> =
        words.flat_map(|word| slips(&word).into_iter().map(move |slip| (slip, word.clone()))).collect();
    for some in all.chunks(WORDS_PER_STATEMENT) {
        let mut insert = Assembled::new("INSERT INTO search_slips (slip, word) ");
        insert.push_rows(some.iter().map(|(slip, word)| [slip.into(), word.into()]));
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Forget the words of a table, within a transaction. A word that no table has any more stays: it finds nothing.
pub(super) async fn forget(connection: &mut AnyConnection, table: &TableEntry) -> Result<(), CatalogError> {
    for statement in [
        "UPDATE search_words SET uses = uses - 1 \
         WHERE word IN (SELECT word FROM search_postings WHERE table_id = $1)",
        "DELETE FROM search_postings WHERE table_id = $1",
    ] {
        sqlx::query(statement).bind(table.id.to_string()).execute(&mut *connection).await?;
    }
    Ok(())
}
