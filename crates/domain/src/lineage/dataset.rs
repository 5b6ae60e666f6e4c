//! What flows begin and end at.

use std::{fmt, str::FromStr};

use crate::TableRef;

/// The namespace of the lake's tables.
const LAKE: &str = "sluice";
/// What a namespace of the lake's tables begins with that tells the server, too.
const LAKE_URL: &str = "sluice://";
/// The namespace of what is named without one.
const ASSETS: &str = "assets";
/// The longest namespace, in bytes.
const MAX_NAMESPACE_BYTES: usize = 256;
/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 768;
/// The longest name of a column, in bytes.
const MAX_COLUMN_BYTES: usize = 255;
/// What is between the parts of a key; no part holds it.
const SEPARATOR: char = '\n';

/// A name that no dataset or column can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is empty, longer than {limit} bytes, or holds control characters")]
pub struct DatasetError {
    /// What was named.
    pub what: &'static str,
    /// The longest that it may be, in bytes.
    pub limit: usize,
}

fn checked(what: &'static str, text: &str, limit: usize) -> Result<(), DatasetError> {
    let fits = !text.is_empty() && text.len() <= limit && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(DatasetError { what, limit }) }
}

/// Something that data flows from or to: a table of the lake, an object, or whatever others tell of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dataset {
    namespace: String,
    name: String,
}

impl Dataset {
    /// The dataset of this name in this namespace, as OpenLineage names them.
    ///
    /// # Errors
    /// [`DatasetError`] for what is empty, too long, or holds control characters.
    pub fn new(namespace: &str, name: &str) -> Result<Self, DatasetError> {
        checked("namespace", namespace, MAX_NAMESPACE_BYTES)?;
        checked("name", name, MAX_NAME_BYTES)?;
        let is_lake = namespace == LAKE || namespace.starts_with(LAKE_URL);
        match name.parse().ok().filter(|_| is_lake) {
            Some(table) => Ok(Self::of_table(&table)),
            None => Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() }),
        }
    }

    /// A table of the lake.
    pub fn of_table(table: &TableRef) -> Self {
        Self { namespace: LAKE.to_owned(), name: table.to_string() }
    }

    /// The dataset at a URL: its namespace is what the URL begins with, up to the path.
    ///
    /// # Errors
    /// [`DatasetError`] where the URL is too long for a name.
    pub fn at_url(url: &str) -> Result<Self, DatasetError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
        match rest.split_once('/') {
            Some((host, path)) if !host.is_empty() => Self::new(&format!("{scheme}://{host}"), path),
            _ => Self::new(scheme, rest),
        }
    }

    /// The URL that the dataset is named by, where it is named by one.
    pub fn url(&self) -> Option<String> {
        match self.namespace.split_once("://") {
            Some(_) => Some(format!("{}/{}", self.namespace, self.name.trim_start_matches('/'))),
            None if self.namespace == "file" => Some(format!("file:///{}", self.name.trim_start_matches('/'))),
            None => None,
        }
    }

    /// The table of the lake that it is.
    pub fn table(&self) -> Option<TableRef> {
        if self.namespace == LAKE { self.name.parse().ok() } else { None }
    }

    /// Where its name is looked up.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text that is this dataset's alone.
    pub fn key(&self) -> String {
        format!("{}{SEPARATOR}{}", self.namespace, self.name)
    }

    /// The dataset of a key.
    ///
    /// # Errors
    /// [`DatasetError`] for a text that is no key.
    pub fn from_key(key: &str) -> Result<Self, DatasetError> {
        let (namespace, name) = key.split_once(SEPARATOR).unwrap_or((key, ""));
        Self::new(namespace, name)
    }
}

/// `namespace.table` is a table of the lake, any other text an asset of that name.
impl FromStr for Dataset {
    type Err = DatasetError;
    fn from_str(text: &str) -> Result<Self, DatasetError> {
        match text.parse() {
            Ok(table) => Ok(Self::of_table(&table)),
            Err(_) => Self::new(ASSETS, text),
        }
    }
}

/// The name alone where it says enough: of tables and of assets.
impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            LAKE | ASSETS => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name.trim_start_matches('/')),
        }
    }
}

/// One column of a dataset, or the dataset as a whole: which of its rows there are, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnNode {
    /// The dataset.
    pub dataset: Dataset,
    /// The column; the dataset as a whole without it.
    pub column: Option<String>,
}

impl ColumnNode {
    /// A column of a dataset.
    ///
    /// # Errors
    /// [`DatasetError`] for a name that no column has.
    pub fn new(dataset: Dataset, column: &str) -> Result<Self, DatasetError> {
        Self::check(column)?;
        Ok(Self { dataset, column: Some(column.to_owned()) })
    }

    /// Whether a column can have this name.
    ///
    /// # Errors
    /// [`DatasetError`] where none can.
    pub fn check(column: &str) -> Result<(), DatasetError> {
        checked("column", column, MAX_COLUMN_BYTES)
    }

    /// The dataset as a whole.
    pub fn whole(dataset: Dataset) -> Self {
        Self { dataset, column: None }
    }

    /// The text that is this node's alone.
    pub fn key(&self) -> String {
        format!("{}{SEPARATOR}{}", self.dataset.key(), self.column.as_deref().unwrap_or_default())
    }

    /// The node of a key.
    ///
    /// # Errors
    /// [`DatasetError`] for a text that is no key.
    pub fn from_key(key: &str) -> Result<Self, DatasetError> {
        let (dataset, column) = key.rsplit_once(SEPARATOR).unwrap_or((key, ""));
        let dataset = Dataset::from_key(dataset)?;
        if column.is_empty() { Ok(Self::whole(dataset)) } else { Self::new(dataset, column) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_table_is_one_dataset() {
        let table = Dataset::of_table(&"nyc.flights".parse().unwrap());
        assert_eq!("NYC.Flights".parse::<Dataset>().unwrap(), table);
        assert_eq!(Dataset::new("sluice", "Nyc.Flights").unwrap(), table);
        assert_eq!(table.to_string(), "nyc.flights");
        assert_eq!(Dataset::new("sluice://lake:8080", "nyc.flights").unwrap(), table);
        assert_eq!(Dataset::new("sluice", "no table").unwrap().table(), None);
    }

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        for (namespace, name) in [("s3://bucket", "a/b.csv"), ("postgres://host:5432", "db.public.t"), ("a", "ü \" <&")]
        {
            let dataset = Dataset::new(namespace, name).unwrap();
            assert_eq!(Dataset::from_key(&dataset.key()).unwrap(), dataset);
            for node in [ColumnNode::new(dataset.clone(), "Total Amount").unwrap(), ColumnNode::whole(dataset)] {
                assert_eq!(ColumnNode::from_key(&node.key()).unwrap(), node);
            }
        }
    }

    #[test]
    fn names_that_would_break_keys_or_columns_of_the_catalog_are_refused() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for (namespace, name) in [("", "a"), ("a", ""), ("a\n", "b"), ("a", "b\0"), ("a", long.as_str()), (&long, "a")]
        {
            assert!(Dataset::new(namespace, name).is_err(), "{namespace:?} {name:?}");
        }
        assert!(Dataset::new("a", &long[1..]).is_ok());
        let dataset = Dataset::new("a", "b").unwrap();
        assert!(ColumnNode::new(dataset.clone(), "").is_err());
        assert!(ColumnNode::new(dataset, "a\nb").is_err());
    }

    #[test]
    fn urls_and_names_of_objects_are_the_same_thing() {
        for url in ["s3://bucket/raw/a.csv", "file:///lake/raw/a.csv", "gs://b/c"] {
            assert_eq!(Dataset::at_url(url).unwrap().url().unwrap(), url);
        }
        let object = Dataset::at_url("s3://bucket/raw/a.csv").unwrap();
        assert_eq!((object.namespace(), object.name()), ("s3://bucket", "raw/a.csv"));
        assert_eq!(Dataset::new("file", "/lake/t").unwrap().url().unwrap(), "file:///lake/t");
        assert_eq!("raw_orders_table".parse::<Dataset>().unwrap().url(), None);
    }
}
