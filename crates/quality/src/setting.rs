//! What rules are asked with, beside the rows: the columns, the time, other tables, conditions in SQL.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use arrow::{
    array::{BooleanArray, RecordBatch},
    datatypes::{DataType, SchemaRef},
};

use crate::{
    cells::{key, present},
    queries::{Answers, QueryAnswer},
};

/// How many values of the columns of another table are kept to look others up in.
pub const MAX_REFERENCE_KEYS: usize = 250_000;

/// A condition on single rows, made ready elsewhere.
pub trait RowCondition: Send + Sync {
    /// For which rows it is true; one for which it is neither true nor false is not one of them.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray, String>;
}

/// Conditions by their text, or why they cannot be asked.
pub type Conditions = HashMap<String, Result<Arc<dyn RowCondition>, String>>;

/// What is known of another table.
#[derive(Debug, Clone, Default)]
pub struct OtherTable {
    /// How many rows it has.
    pub rows: u64,
    /// The values of the columns that are looked up in, as texts; why not, where they cannot be.
    pub keys: HashMap<String, Result<HashSet<String>, String>>,
}

impl OtherTable {
    /// A table of which these columns are looked up in.
    pub fn of(columns: &HashSet<String>) -> Self {
        Self { rows: 0, keys: columns.iter().map(|column| (column.clone(), Ok(HashSet::new()))).collect() }
    }

    /// Add rows of it.
    pub fn add(&mut self, rows: &RecordBatch) {
        self.rows += rows.num_rows() as u64;
        let mut left = MAX_REFERENCE_KEYS.saturating_sub(self.keys.values().flatten().map(HashSet::len).sum());
        for (name, keys) in &mut self.keys {
            let Ok(known) = keys else { continue };
            let Some(column) = rows.column_by_name(name) else {
                *keys = Err(format!("Missing column: {name} of the other table"));
                continue;
            };
            for row in present(column).set_indices() {
                let key = key(column, row);
                if known.contains(&key) {
                    continue;
                }
                if left == 0 {
                    *keys = Err(format!("the other table has more than {MAX_REFERENCE_KEYS} values to look up in"));
                    break;
                }
                left -= 1;
                known.insert(key);
            }
        }
    }
}

/// Other tables by their names, or why they cannot be read.
pub type References = HashMap<String, Result<OtherTable, String>>;

/// What a suite needs to know of elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Conditions in SQL.
    pub conditions: HashSet<String>,
    /// Other tables, and the columns of them that are looked up in.
    pub tables: HashMap<String, HashSet<String>>,
}

/// What rules are asked with, beside the rows.
pub struct Setting {
    /// The columns of the rows.
    pub schema: SchemaRef,
    /// The present, in microseconds from the epoch.
    pub now_micros: i64,
    /// The conditions that the suite needs.
    pub conditions: Conditions,
    /// The other tables that it needs.
    pub references: Arc<References>,
    /// What its queries over the whole table answered.
    pub answers: Arc<Answers>,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("schema", &self.schema).field("now_micros", &self.now_micros).finish()
    }
}

impl Setting {
    /// The place of a column: of exactly that name first, of another case else.
    ///
    /// # Errors
    /// That there is none.
    pub(crate) fn column(&self, name: &str) -> Result<usize, String> {
        let fields = self.schema.fields();
        let exact = fields.iter().position(|field| field.name() == name);
        let folded = || fields.iter().position(|field| field.name().to_lowercase() == name.to_lowercase());
        exact.or_else(folded).ok_or_else(|| format!("Missing column: {name}"))
    }

    /// The type of the column at a place.
    pub(crate) fn data_type(&self, at: usize) -> &DataType {
        self.schema.field(at).data_type()
    }

    pub(crate) fn condition(&self, text: &str) -> Result<Arc<dyn RowCondition>, String> {
        let found = self.conditions.get(text).cloned();
        found.unwrap_or_else(|| Err("conditions in SQL cannot be asked here".to_owned()))
    }

    pub(crate) fn answer(&self, query: &str) -> Result<&QueryAnswer, String> {
        match self.answers.get(query) {
            Some(found) => found.as_ref().map(AsRef::as_ref).map_err(Clone::clone),
            None => Err("queries over the whole table are asked by a check of the table".to_owned()),
        }
    }

    pub(crate) fn other_table(&self, name: &str) -> Result<&OtherTable, String> {
        match self.references.get(name) {
            Some(found) => found.as_ref().map_err(Clone::clone),
            None => Err(format!("the table {name} was not read")),
        }
    }
}
