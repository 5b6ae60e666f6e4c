//! Partition values: splitting batches by them, and writing them in the log and in paths.

use std::collections::HashMap;

use arrow::{
    array::{Array, ArrayRef, AsArray as _, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::{DataType, Date32Type, Schema, SchemaRef, TimestampMicrosecondType},
    row::{OwnedRow, RowConverter, SortField},
    util::display::{ArrayFormatter, FormatOptions},
};
use chrono::{DateTime, NaiveDate};
use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, percent_decode_str, utf8_percent_encode};

use crate::{Refusal, TableError};

/// The folder of rows whose partition value is missing, as Hive and Spark name it.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// What Hive escapes in folder names, and what URLs, shells and object stores trip over.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'*')
    .add(b'+')
    .add(b'/')
    .add(b':')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'~');

/// The longest escaped name or value in a folder name, in bytes; file systems stop at 255 for the whole name.
/// Cutting is harmless: the log holds the values, folders only help people to find their way.
const MAX_ESCAPED_BYTES: usize = 100;

/// The longest name of a folder that tells a value, and of all of them in a file's path, in bytes: file systems stop at
/// 255, and what S3 keeps beside an object at 2048.
const MAX_FOLDER_BYTES: usize = 255;
const MAX_FOLDERS_BYTES: usize = 800;

fn escape(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ESCAPED)
}

/// The values that the folders in a file's path tell, in the order of these columns; missing for a column that is not
/// among them.
pub(crate) fn told_values(path: &str, columns: &[String]) -> Vec<Option<String>> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders).split('/');
    let told: Vec<(String, &str)> =
        folders.filter_map(|folder| folder.split_once('=')).map(|(name, value)| (decoded(name), value)).collect();
    let value = |column: &String| {
        let (_, value) = told.iter().find(|(name, _)| name == column)?;
        (*value != NULL_FOLDER).then(|| decoded(value))
    };
    columns.iter().map(value).collect()
}

/// The values of one partition, in the order of the partition columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionValues(Vec<(String, Option<String>)>);

impl PartitionValues {
    /// The folder of the partition below the table, `a=1/b=x`, or nothing for a table without partitions.
    pub(crate) fn folder(&self) -> String {
        let escape = |text: &str| {
            let mut escaped = escape(text).to_string();
            escaped.truncate(MAX_ESCAPED_BYTES);
            escaped
        };
        let folders = self.0.iter().map(|(column, value)| {
            let value = value.as_deref().map_or_else(|| NULL_FOLDER.to_owned(), escape);
            format!("{}={value}/", escape(column))
        });
        folders.collect()
    }

    /// The folder of the partition where nothing but the folder tells the values: whole, or refused.
    pub(crate) fn telling_folder(&self) -> Result<String, Refusal> {
        let mut folders = String::new();
        for (column, value) in &self.0 {
            let refused = |reason| Refusal::BadPartitioning { column: column.clone(), reason };
            if value.as_deref() == Some(NULL_FOLDER) {
                return Err(refused("one of its values is the text that stands for a missing one"));
            }
            let value = value.as_deref().map_or_else(|| NULL_FOLDER.to_owned(), |value| escape(value).to_string());
            let folder = format!("{}={value}", escape(column));
            if folder.len() > MAX_FOLDER_BYTES || folders.len() + folder.len() > MAX_FOLDERS_BYTES {
                return Err(refused("one of its values is too long for the name of a folder"));
            }
            folders = folders + &folder + "/";
        }
        Ok(folders)
    }

    /// The values as an `add` action holds them.
    pub(crate) fn into_map(self) -> HashMap<String, Option<String>> {
        self.0.into_iter().collect()
    }
}

/// Splits batches into the rows of each partition.
#[derive(Debug)]
pub(crate) struct Splitter {
    columns: Vec<usize>,
    names: Vec<String>,
    converter: RowConverter,
    data_columns: Vec<usize>,
}

/// The rows of one partition within a batch, without the partition columns.
pub(crate) struct Part {
    pub(crate) key: OwnedRow,
    pub(crate) rows: RecordBatch,
    /// A row of the partition, with its partition columns, to read the values from.
    pub(crate) sample: Vec<ArrayRef>,
}

impl Splitter {
    pub(crate) fn new(schema: &SchemaRef, partition_by: &[String]) -> Result<Self, TableError> {
        let columns: Vec<usize> = partition_by.iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
        let sort_fields = columns.iter().map(|&at| SortField::new(schema.field(at).data_type().clone())).collect();
        let data_columns = (0..schema.fields().len()).filter(|at| !columns.contains(at)).collect();
        Ok(Self { converter: RowConverter::new(sort_fields)?, columns, names: partition_by.to_vec(), data_columns })
    }

    /// The schema of the data files: everything but the partition columns.
    pub(crate) fn file_schema(&self, schema: &Schema) -> Result<Schema, TableError> {
        Ok(schema.project(&self.data_columns)?)
    }

    /// The rows of `batch` by partition, each in the batch's order.
    pub(crate) fn split(&self, batch: &RecordBatch) -> Result<Vec<Part>, TableError> {
        let keys: Vec<ArrayRef> = self.columns.iter().map(|&at| batch.column(at).clone()).collect();
        let data = batch.project(&self.data_columns)?;
        let rows = self.converter.convert_columns(&keys)?;
        let mut groups: HashMap<OwnedRow, Vec<u32>> = HashMap::new();
        let mut run: Option<(OwnedRow, Vec<u32>)> = None;
        for (at, row) in rows.iter().enumerate() {
            match &mut run {
                Some((key, members)) if key.row() == row => members.push(at as u32),
                _ => {
                    if let Some((key, members)) = run.take() {
                        groups.entry(key).or_default().extend(members);
                    }
                    run = Some((row.owned(), vec![at as u32]));
                }
            }
        }
        if let Some((key, members)) = run {
            groups.entry(key).or_default().extend(members);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|(_, members)| members[0]);
        let parts = groups.into_iter().map(|(key, members)| {
            let sample = keys.iter().map(|column| column.slice(members[0] as usize, 1)).collect();
            let whole = members.len() == batch.num_rows();
            let rows = if whole { data.clone() } else { take_record_batch(&data, &UInt32Array::from(members))? };
            Ok(Part { key, rows, sample })
        });
        parts.collect()
    }

    /// The values of the partition that a part with this sample belongs to.
    pub(crate) fn values(&self, sample: &[ArrayRef]) -> Result<PartitionValues, TableError> {
        let values = self.names.iter().zip(sample).map(|(name, column)| Ok((name.clone(), value_text(column)?)));
        Ok(PartitionValues(values.collect::<Result<_, TableError>>()?))
    }
}

/// The one value of `column` in the text form of the Delta protocol ("Partition Value Serialization").
fn value_text(column: &ArrayRef) -> Result<Option<String>, TableError> {
    if column.is_null(0) {
        return Ok(None);
    }
    let text = match column.data_type() {
        DataType::Date32 => NaiveDate::default()
            .checked_add_signed(chrono::TimeDelta::days(column.as_primitive::<Date32Type>().value(0).into()))
            .map(|date| date.format("%Y-%m-%d").to_string()),
        DataType::Timestamp(_, zone) => {
            let zone = if zone.is_some() { "Z" } else { "" };
            let separator = if zone.is_empty() { ' ' } else { 'T' };
            DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(0))
                .map(|time| time.format(&format!("%Y-%m-%d{separator}%H:%M:%S%.6f{zone}")).to_string())
        }
        _ => Some(ArrayFormatter::try_new(column, &FormatOptions::default())?.value(0).to_string()),
    };
    // The protocol has no empty string: it reads back as a missing value.
    Ok(text.filter(|text| !text.is_empty()))
}

/// Everything in one partition: what a table without partition columns writes.
pub(crate) fn no_values() -> PartitionValues {
    PartitionValues(Vec::new())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int64Array, StringArray},
        datatypes::Field,
    };

    use super::*;

    fn batch() -> RecordBatch {
        let schema = Schema::new(vec![Field::new("k", DataType::Utf8, true), Field::new("v", DataType::Int64, true)]);
        let keys = StringArray::from(vec![Some("a"), None, Some("a"), Some("x/y"), Some("..")]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(keys), Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]))])
            .unwrap()
    }

    #[test]
    fn rows_go_to_the_partition_of_their_value() {
        let batch = batch();
        let splitter = Splitter::new(&batch.schema(), &["k".into()]).unwrap();
        let mut found: Vec<(String, usize)> = splitter
            .split(&batch)
            .unwrap()
            .iter()
            .map(|part| (splitter.values(&part.sample).unwrap().folder(), part.rows.num_rows()))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                ("k=..%2F".replace("%2F", "/"), 1),
                (format!("k={NULL_FOLDER}/"), 1),
                ("k=a/".into(), 2),
                ("k=x%2Fy/".into(), 1)
            ]
        );
    }

    fn of_one(value: Option<&str>) -> PartitionValues {
        PartitionValues(vec![("k".into(), value.map(str::to_owned))])
    }

    #[test]
    fn a_telling_folder_tells_the_value_back() {
        let columns = ["k".to_owned()];
        for value in ["a=b", "x/y", "..", "100%", "%2F", "a b+c", "1", "Zürich 日本", "a\\b", "'\"", "\u{7f}\t"] {
            let path = of_one(Some(value)).telling_folder().unwrap() + "f.parquet";
            assert_eq!(path.matches('/').count(), 1, "{path}");
            assert_eq!(told_values(&path, &columns), [Some(value.to_owned())]);
        }
        assert_eq!(told_values(&(of_one(None).telling_folder().unwrap() + "f"), &columns), [None]);
        assert_eq!(told_values("r=a=b/f", &["r".to_owned()]), [Some("a=b".to_owned())]);
        assert_eq!(told_values("r=1/f=2.parquet", &["f".to_owned()]), [None]);
    }

    #[test]
    fn what_a_folder_cannot_tell_is_refused() {
        of_one(Some(NULL_FOLDER)).telling_folder().unwrap_err();
        of_one(Some(&"x".repeat(300))).telling_folder().unwrap_err();
    }

    #[test]
    fn a_long_value_still_makes_a_folder_name() {
        let values = PartitionValues(vec![("k".into(), Some("😈".repeat(200)))]);
        assert!(values.folder().len() < 255);
    }
}
