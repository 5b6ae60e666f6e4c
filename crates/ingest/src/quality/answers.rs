//! Queries over the whole table that a suite asks: who runs them comes from outside.

use std::{collections::hash_map::Entry, sync::Arc};

use async_trait::async_trait;
use sluice_domain::{Suite, TableRef};
use sluice_quality::{Answers, QueryAnswer, TableQuery, queries};

/// Runs the queries that a suite asks of its whole table.
#[async_trait]
pub trait AskTable: Send + Sync {
    /// What a query answers of this version of the table.
    ///
    /// # Errors
    /// Why there is no answer, in words for the result of its rule.
    async fn ask(&self, query: &TableQuery, table: &TableRef, version: u64) -> Result<QueryAnswer, String>;
}

/// The answers to all queries of a suite, asked one after the other.
pub(super) async fn answers(asker: &dyn AskTable, suite: &Suite, table: &TableRef, version: u64) -> Arc<Answers> {
    let mut answers = Answers::new();
    for query in queries(suite) {
        if let Entry::Vacant(unanswered) = answers.entry(query.text.clone()) {
            unanswered.insert(asker.ask(&query, table, version).await.map(Arc::new));
        }
    }
    Arc::new(answers)
}
