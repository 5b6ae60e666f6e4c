//! How an upload's bytes are to be read: from parameters, headers and the file's name, in this order.

use serde::Deserialize;
use sluice_domain::{
    BadRowLimits, Compression, CsvOptions, DerivedColumn, Format, FormatError, JsonOptions, ReadOptions, TableLayout,
};
use utoipa::IntoParams;

use crate::{
    body::UploadBody,
    layout_params::{BYTES, ROWS, column_list, partitioning, table_format, within},
    problem::Problem,
};

mod write_options;
/// How many texts can stand for a missing value.
const MAX_NULL_VALUES: usize = 64;

/// The parameters of an upload.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadParams {
    /// `csv`, `ndjson`, `json` or `parquet`; by default what `Content-Type` or the file name's ending says.
    format: Option<String>,
    /// The name of the file: a note, and a hint to format and compression.
    #[param(max_length = 255)]
    file_name: Option<String>,
    /// CSV: whether the first record names the columns. Default: true.
    header: Option<bool>,
    /// CSV: the byte between fields, one ASCII character, or `tab`. Default: a comma (a tab for `.tsv`).
    delimiter: Option<String>,
    /// CSV: the byte around fields, one ASCII character, or `none`. Default: a double quote.
    quote: Option<String>,
    /// CSV and JSON: texts that stand for a missing value, separated by commas.
    #[param(example = "NA,null")]
    null_values: Option<String>,
    /// CSV: whether an empty field is a missing value rather than an empty text. Default: true.
    empty_as_null: Option<bool>,
    /// The columns to partition a new table by, separated by commas. `year(c)`, `month(c)`, `day(c)`, `hour(c)` and
    /// `date(c)` add a column that is computed from the dates or timestamps of column `c`, in UTC: called like the
    /// function, or as in `year(c) as y`. `year`, `month`, `day` and `hour` alone are taken of a column `date` where
    /// the file has that and not them.
    #[param(example = "month")]
    partition_by: Option<String>,
    /// How many rows may be bad: with more, the upload is refused as a whole, with 0 at the first one. Default: any
    /// number, as long as one row is good. Bad rows go to the table's quarantine.
    max_bad_rows: Option<u64>,
    /// What part of the rows may be bad, from 0 to 1.
    #[param(example = 0.1, minimum = 0, maximum = 1)]
    max_bad_fraction: Option<f64>,
    /// The format of a new table: `delta`, or `parquet` for Parquet files without a log, in folders of their
    /// partitions, which takes appends only. Default: `delta`.
    #[param(example = "delta")]
    table_format: Option<String>,
    /// For a new table: the columns that the rows of each file are sorted by, separated by commas.
    #[param(example = "customer_id")]
    sort_by: Option<String>,
    /// For a new table: the columns with bloom filters, separated by commas.
    #[param(example = "customer_id")]
    bloom_filter: Option<String>,
    /// For a new table: the columns with statistics, separated by commas. Default: the first ones.
    stats_columns: Option<String>,
    /// For a new table: the size at which a file is closed and another begun, in bytes.
    #[param(minimum = 65536, maximum = 1099511627776_i64)]
    target_file_bytes: Option<u64>,
    /// For a new table: how many rows a row group has at the most.
    #[param(minimum = 100, maximum = 100000000)]
    row_group_rows: Option<u64>,
    /// For a new table: how large a row group is at the most before compression, in bytes.
    #[param(minimum = 65536, maximum = 1099511627776_i64)]
    row_group_bytes: Option<u64>,
    /// What becomes of the rows that are there: `append` (they stay; the default), `overwrite` (all are replaced),
    /// `overwrite_partitions` (those of the partitions that the upload has rows of are), `merge` (rows with the same
    /// `merge_keys` are updated, others are inserted), or `error_if_exists` (409 where the table has a version).
    #[param(example = "merge")]
    mode: Option<String>,
    /// Merge: the columns of the key, separated by commas. A row without a value in one is refused.
    #[param(example = "id")]
    merge_keys: Option<String>,
    /// Merge: `update` (the default; columns that no row of the upload has keep their values) or `ignore` rows whose
    /// key the table has.
    merge_matched: Option<String>,
    /// Merge: `insert` (the default) or `ignore` rows whose key the table lacks.
    merge_not_matched: Option<String>,
    /// Merge: a column of the upload that is `true`, `1`, `d` or `delete` in rows that delete their match. It is stored
    /// only where the table has such a column already.
    delete_when: Option<String>,
    /// Merge and deduplication: of several rows of one key the one with the greatest value in this column counts, the
    /// last one of equals. A merge does not apply a row that is older than the table's.
    order_by: Option<String>,
    /// The columns of the key by which a row is there already, separated by commas, or `*` for all columns. Such a row
    /// is not added and counts as deduplicated. A missing value equals a missing value.
    #[param(example = "id")]
    dedup_keys: Option<String>,
    /// `within`: rows are compared with those of the upload only; `across`: only with those of the table.
    /// Default: with both.
    dedup: Option<String>,
    /// Which row of several with one key in the upload counts: `first`, `last`, or `none` of them. Default: the first,
    /// with `order_by` the newest, in a merge the last.
    dedup_keep: Option<String>,
}

impl UploadParams {
    /// The client's name of the file, if it gave one.
    pub(crate) fn file_name(&self, body: &UploadBody) -> Result<Option<String>, Problem> {
        let name = self.file_name.as_ref().or(body.file_name.as_ref());
        match name {
            Some(name) if name.len() > 255 || name.chars().any(char::is_control) => {
                Err(bad("file_name", "it is longer than 255 bytes or has control characters"))
            }
            name => Ok(name.cloned()),
        }
    }

    /// The options that parameters, headers and file name amount to.
    pub(crate) fn options(&self, body: &UploadBody) -> Result<ReadOptions, Problem> {
        let file_name = self.file_name(body)?.unwrap_or_default();
        let (format_by_name, compression_by_name) = Format::from_file_name(&file_name);
        let by_type = body.media_type.as_deref().and_then(Format::from_media_type);
        let format = match &self.format {
            Some(name) => name.parse().map_err(unsupported)?,
            None => by_type
                .or(format_by_name)
                .ok_or_else(|| unsupported(FormatError::UnknownFormat(body.media_type.clone().unwrap_or_default())))?,
        };
        let encoding: Option<Compression> =
            body.encoding.as_deref().map(str::parse).transpose().map_err(unsupported)?;
        let compression =
            encoding.filter(|found| *found != Compression::Identity).or(compression_by_name).unwrap_or_default();
        let null_values = self.null_values()?;
        let (partition_by, derived) = partitioning(self.partition_by.as_deref())?;
        Ok(ReadOptions {
            format,
            compression,
            csv: self.csv(null_values.clone(), &file_name, body)?,
            json: JsonOptions { null_values, coerce: false },
            partition_by,
            bad_rows: self.bad_rows()?,
            table_format: table_format(self.table_format.as_deref())?,
            layout: self.layout(derived)?,
            write: self.write_options()?,
        })
    }

    fn csv(&self, null_values: Vec<String>, file_name: &str, body: &UploadBody) -> Result<CsvOptions, Problem> {
        let by_default = CsvOptions::default();
        let tabs = self.format.as_deref() == Some("tsv")
            || body.media_type.as_deref().is_some_and(|text| text.starts_with("text/tab-separated-values"))
            || file_name.to_ascii_lowercase().trim_end_matches(".gz").trim_end_matches(".zst").ends_with(".tsv");
        let delimiter = match self.delimiter.as_deref() {
            Some("tab" | "\\t" | "\t") => b'\t',
            Some(text) => one_byte("delimiter", text)?,
            None if tabs => b'\t',
            None => by_default.delimiter,
        };
        let quote = match self.quote.as_deref() {
            Some("none" | "") => None,
            Some(text) => Some(one_byte("quote", text)?),
            None => by_default.quote,
        };
        if quote == Some(delimiter) {
            return Err(bad("quote", "it is the delimiter"));
        }
        Ok(CsvOptions {
            header: self.header.unwrap_or(by_default.header),
            delimiter,
            quote,
            null_values,
            empty_as_null: self.empty_as_null.unwrap_or(by_default.empty_as_null),
        })
    }

    fn bad_rows(&self) -> Result<BadRowLimits, Problem> {
        let fraction = self.max_bad_fraction.map(|fraction| fraction.to_string().parse());
        let max_fraction = fraction.transpose().map_err(|reason: String| bad("max_bad_fraction", &reason))?;
        Ok(BadRowLimits { max_rows: self.max_bad_rows, max_fraction })
    }

    fn null_values(&self) -> Result<Vec<String>, Problem> {
        let values: Vec<String> = self.null_values.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect();
        if values.len() > MAX_NULL_VALUES {
            return Err(bad("null_values", &format!("there are more than {MAX_NULL_VALUES}")));
        }
        Ok(values)
    }

    fn layout(&self, derived: Vec<DerivedColumn>) -> Result<TableLayout, Problem> {
        Ok(TableLayout {
            derived,
            sort_by: column_list("sort_by", self.sort_by.as_deref())?,
            bloom_filter: column_list("bloom_filter", self.bloom_filter.as_deref())?,
            stats_columns: column_list("stats_columns", self.stats_columns.as_deref())?,
            target_file_bytes: within("target_file_bytes", self.target_file_bytes, BYTES)?,
            row_group_rows: within("row_group_rows", self.row_group_rows, ROWS)?,
            row_group_bytes: within("row_group_bytes", self.row_group_bytes, BYTES)?,
        })
    }
}

/// The only byte of an option's text: ASCII, and not one that ends a line.
fn one_byte(option: &'static str, text: &str) -> Result<u8, Problem> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | b'\0') => Ok(*byte),
        _ => Err(bad(option, "it is not one ASCII character")),
    }
}

pub(crate) fn bad(option: &'static str, reason: &str) -> Problem {
    Problem::bad_request("bad-parameter", FormatError::BadOption { option, reason: reason.into() }.to_string())
}

fn unsupported(error: FormatError) -> Problem {
    let code = match &error {
        FormatError::UnknownFormat(_) => "unknown-format",
        _ => "unsupported-encoding",
    };
    Problem::new(axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE, code, error.to_string())
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};

    use super::*;

    fn body(media_type: Option<&str>, file_name: Option<&str>, encoding: Option<&str>) -> UploadBody {
        UploadBody {
            media_type: media_type.map(str::to_owned),
            file_name: file_name.map(str::to_owned),
            encoding: encoding.map(str::to_owned),
            bytes: stream::empty().boxed(),
        }
    }

    #[test]
    fn the_parameter_wins_over_the_header_and_the_header_over_the_name() {
        let csv_named_json = body(Some("text/csv"), Some("a.json.gz"), None);
        let options = UploadParams::default().options(&csv_named_json).unwrap();
        assert_eq!((options.format, options.compression), (Format::Csv, Compression::Gzip));
        let params = UploadParams { format: Some("parquet".into()), ..UploadParams::default() };
        assert_eq!(params.options(&csv_named_json).unwrap().format, Format::Parquet);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let params = UploadParams::default();
        assert!(params.options(&body(None, None, None)).is_err());
        assert!(params.options(&body(Some("application/x-www-form-urlencoded"), None, None)).is_err());
        assert!(params.options(&body(Some("text/csv"), None, Some("br"))).is_err());
        let params = UploadParams { delimiter: Some("ab".into()), ..UploadParams::default() };
        assert!(params.options(&body(Some("text/csv"), None, None)).is_err());
    }

    #[test]
    fn a_tsv_is_split_at_tabs() {
        let options = UploadParams::default().options(&body(None, Some("x.TSV.gz"), None)).unwrap();
        assert_eq!(options.csv.delimiter, b'\t');
    }
}
