//! How an upload's bytes are to be read: from parameters, headers and the file's name, in this order.

use serde::Deserialize;
use sluice_domain::{
    BadRowLimits, Charset, Compression, CsvOptions, DerivedColumn, Format, FormatError, JsonOptions, OpenDialect,
    ReadOptions, StoredFailure, TableLayout,
};
use sluice_ingest::FileHint;
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::UploadBody,
    layout_params::{BYTES, ROWS, column_list, partitioning, table_format, within},
    problem::Problem,
};

mod write_options;
/// How many texts can stand for a missing value.
const MAX_NULL_VALUES: usize = 64;
/// The name of an archive of files, where the name of a compression may stand.
const ARCHIVE: &str = "zip";
/// What stands between the names of an object and of its fields, unless the caller says otherwise.
const FLATTEN_SEPARATOR: &str = "_";
const MAX_SEPARATOR_BYTES: usize = 8;

/// The parameters of an upload.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadParams {
    /// `csv`, `tsv`, `ndjson`, `json`, `parquet`, `arrow`, `avro` or `zip`; by default what `Content-Type` or the file
    /// name's ending says. Of an archive, the format of its members.
    format: Option<String>,
    /// `gzip`, `zstd`, `bzip2`, `xz`, `snappy` (framed), `zip` (an archive of one or more files) or `none`; by default
    /// what `Content-Encoding` or the file name's ending says.
    compression: Option<String>,
    /// The name of the file: a note, and a hint to format and compression.
    #[param(max_length = 255)]
    file_name: Option<String>,
    /// Text: `utf-8`, `utf-16`, `utf-16le`, `utf-16be`, `iso-8859-1` or `windows-1252`; by default the `charset` of
    /// `Content-Type`, or UTF-8 unless a byte order mark says otherwise.
    charset: Option<String>,
    /// CSV: whether the first record names the columns. By default it does, unless every field of it is a number, a
    /// date or a time.
    header: Option<bool>,
    /// CSV: the byte between fields, one ASCII character, or `tab`. By default a tab for `.tsv`; else a comma, unless
    /// the beginning of the file is split evenly by semicolons, tabs or bars and not by commas.
    delimiter: Option<String>,
    /// CSV: the byte around fields, one ASCII character, or `none`. By default a double quote, unless the beginning of
    /// the file is split evenly only with single quotes.
    quote: Option<String>,
    /// CSV: what stands before the fraction of a number, `.` or `,`. Default: a point.
    #[param(example = ",")]
    decimal: Option<String>,
    /// CSV and JSON: texts that stand for a missing value, separated by commas.
    #[param(example = "NA,null")]
    null_values: Option<String>,
    /// CSV: whether an empty field is a missing value rather than an empty text. Default: true.
    empty_as_null: Option<bool>,
    /// JSON documents: where the array of rows is, as a JSON Pointer or as keys with points between them. What lies
    /// beside it is not read.
    #[param(example = "/data/items")]
    record_path: Option<String>,
    /// JSON: whether the fields of objects become columns of their own, lists left as they are. Default: false.
    flatten: Option<bool>,
    /// JSON: what stands between the names of an object and of its field in the name of a flattened column. Default:
    /// `_`.
    #[param(max_length = 8)]
    flatten_separator: Option<String>,
    /// The columns to partition a new table by, separated by commas. `year(c)`, `month(c)`, `day(c)`, `hour(c)` and
    /// `date(c)` add a column that is computed from the dates or timestamps of column `c`, in UTC: called like the
    /// function, or as in `year(c) as y`. `year`, `month`, `day` and `hour` alone are taken of a column `date` where
    /// the file has that and not them.
    #[param(example = "month")]
    partition_by: Option<String>,
    /// How many rows may be bad: with more, the upload is refused as a whole, with 0 at the first one. Default: any
    /// number, as long as one row is good. Bad rows go to the table's quarantine.
    #[param(format = "uint64", minimum = 0)]
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
        let (format, member_format) = self.format(body, &file_name)?;
        let null_values = self.null_values()?;
        let (partition_by, derived) = partitioning(self.partition_by.as_deref())?;
        let options = ReadOptions {
            format,
            compression: self.compression(body, &file_name)?,
            csv: self.csv(null_values.clone(), &file_name, body)?,
            json: self.json(null_values)?,
            charset: self.charset(body)?,
            member_format,
            partition_by,
            bad_rows: self.bad_rows()?,
            table_format: table_format(self.table_format.as_deref())?,
            layout: self.layout(derived)?,
            write: self.write_options()?,
        };
        self.check_applicable(&options)?;
        Ok(options)
    }

    /// The format of the file and, if it is an archive, of its members.
    fn format(&self, body: &UploadBody, file_name: &str) -> Result<(Format, Option<Format>), Problem> {
        let told: Option<Format> = self.format.as_deref().map(str::parse).transpose().map_err(unsupported)?;
        let hinted =
            body.media_type.as_deref().and_then(Format::from_media_type).or(Format::from_file_name(file_name).0);
        let is_archive = self.compression.as_deref() == Some(ARCHIVE) || hinted == Some(Format::Zip);
        match told {
            Some(format) if format != Format::Zip && is_archive => Ok((Format::Zip, Some(format))),
            Some(format) => Ok((format, None)),
            None if is_archive => Ok((Format::Zip, hinted.filter(|format| *format != Format::Zip))),
            None => {
                let unknown = || unsupported(FormatError::UnknownFormat(unknown_type(body, file_name)));
                hinted.map(|format| (format, None)).ok_or_else(unknown)
            }
        }
    }

    fn compression(&self, body: &UploadBody, file_name: &str) -> Result<Compression, Problem> {
        if let Some(text) = self.compression.as_deref().filter(|text| *text != ARCHIVE) {
            return text.parse().map_err(unsupported);
        }
        let encoding: Option<Compression> =
            body.encoding.as_deref().map(str::parse).transpose().map_err(unsupported)?;
        let by_name = Format::from_file_name(file_name).1;
        Ok(encoding.filter(|found| *found != Compression::Identity).or(by_name).unwrap_or_default())
    }

    fn charset(&self, body: &UploadBody) -> Result<Option<Charset>, Problem> {
        let by_type = || body.media_type.as_deref().and_then(Charset::name_in_media_type);
        let name = self.charset.as_deref().or_else(by_type);
        name.map(str::parse).transpose().map_err(unsupported)
    }

    fn csv(&self, null_values: Vec<String>, file_name: &str, body: &UploadBody) -> Result<CsvOptions, Problem> {
        let by_default = CsvOptions::default();
        let tabs = self.format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("tsv"))
            || body
                .media_type
                .as_deref()
                .is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("text/tab-separated-values"))
            || Format::is_tab_separated(file_name);
        let delimiter = match self.delimiter.as_deref() {
            Some("tab" | "\\t" | "\t") => Some(b'\t'),
            Some(text) => Some(one_byte("delimiter", text)?),
            None => tabs.then_some(b'\t'),
        };
        let quote = match self.quote.as_deref() {
            Some("none" | "") => Some(None),
            Some(text) => Some(Some(one_byte("quote", text)?)),
            None => None,
        };
        let open =
            OpenDialect { delimiter: delimiter.is_none(), quote: quote.is_none(), header: self.header.is_none() };
        let (delimiter, quote) = (delimiter.unwrap_or(by_default.delimiter), quote.unwrap_or(by_default.quote));
        if quote == Some(delimiter) {
            return Err(bad("quote", "it is the delimiter"));
        }
        Ok(CsvOptions {
            header: self.header.unwrap_or(by_default.header),
            delimiter,
            quote,
            null_values,
            empty_as_null: self.empty_as_null.unwrap_or(by_default.empty_as_null),
            decimal_comma: self.decimal_comma()?,
            open,
        })
    }

    fn bad_rows(&self) -> Result<BadRowLimits, Problem> {
        let fraction = self.max_bad_fraction.map(|fraction| fraction.to_string().parse());
        let max_fraction = fraction.transpose().map_err(|reason: String| bad("max_bad_fraction", &reason))?;
        Ok(BadRowLimits { max_rows: self.max_bad_rows, max_fraction })
    }

    fn decimal_comma(&self) -> Result<bool, Problem> {
        match self.decimal.as_deref() {
            None | Some(".") => Ok(false),
            Some(",") => Ok(true),
            Some(_) => Err(bad("decimal", "it is neither a point nor a comma")),
        }
    }

    fn json(&self, null_values: Vec<String>) -> Result<JsonOptions, Problem> {
        let record_path = self.record_path.as_deref().map(str::parse).transpose();
        let record_path =
            record_path.map_err(|error: FormatError| Problem::bad_request("bad-parameter", error.to_string()))?;
        let separator = self.flatten_separator.as_deref().unwrap_or(FLATTEN_SEPARATOR);
        if separator.is_empty() || separator.len() > MAX_SEPARATOR_BYTES {
            return Err(bad("flatten_separator", &format!("it does not have 1 to {MAX_SEPARATOR_BYTES} bytes")));
        }
        if self.flatten_separator.is_some() && self.flatten != Some(true) {
            return Err(bad("flatten_separator", "it says how to flatten, and flatten is not true"));
        }
        let flatten = (self.flatten == Some(true)).then(|| separator.to_owned());
        Ok(JsonOptions { null_values, coerce: false, record_path, flatten })
    }

    /// An option that the format has no use for was meant for another one.
    fn check_applicable(&self, options: &ReadOptions) -> Result<(), Problem> {
        let format = options.member_format.unwrap_or(options.format);
        if options.json.record_path.is_some() && !matches!(format, Format::Json | Format::Zip) {
            return Err(bad("record_path", &format!("it leads through a JSON document, and the format is {format}")));
        }
        Ok(())
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

/// How an upload with these parameters would read a file of which this much is known.
///
/// # Errors
/// The problem of an upload with parameters that make no sense.
pub fn upload_options(
    parameters: &serde_json::Map<String, serde_json::Value>,
    hint: &FileHint<'_>,
) -> Result<ReadOptions, StoredFailure> {
    let params = UploadParams::deserialize(parameters)
        .map_err(|error| Problem::bad_request("bad-parameter", error.to_string()).into_refusal())?;
    let body = UploadBody::announced(hint.media_type.map(str::to_owned), hint.file_name.map(str::to_owned), None);
    params.options(&body).map_err(Problem::into_refusal)
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

/// What the sender says the file is, for the answer that nobody knows it.
fn unknown_type(body: &UploadBody, file_name: &str) -> String {
    let told = body.media_type.as_deref().filter(|text| !text.starts_with("application/octet-stream"));
    let ending = file_name.rsplit_once('.').map(|(_, ending)| format!(".{ending}"));
    told.map(str::to_owned).or(ending).or_else(|| body.media_type.clone()).unwrap_or_default()
}

fn unsupported(error: FormatError) -> Problem {
    let code = match &error {
        FormatError::UnknownFormat(_) => "unknown-format",
        FormatError::UnknownCharset(_) => "unsupported-charset",
        _ => "unsupported-encoding",
    };
    Problem::new(axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE, code, error.to_string())
}

#[cfg(test)]
mod tests;
