//! How an upload changes its table, from its parameters.
//!
//! Invariant: a parameter that the mode does not look at is refused, never ignored.

use sluice_domain::{ColumnName, DedupOptions, DedupScope, KeepRows, MergeOptions, WriteMode, WriteOptions};

use super::{UploadParams, bad};
use crate::problem::Problem;

/// How many columns a key can have.
const MAX_KEY_COLUMNS: usize = 32;
/// Stands for all columns.
const EVERY_COLUMN: &str = "*";

impl UploadParams {
    /// What the parameters say about the rows that are there.
    pub(super) fn write_options(&self) -> Result<WriteOptions, Problem> {
        let mode = match self.mode.as_deref() {
            None | Some("append") => WriteMode::Append,
            Some("overwrite") => WriteMode::Overwrite,
            Some("overwrite_partitions") => WriteMode::OverwritePartitions,
            Some("merge") => WriteMode::Merge,
            Some("error_if_exists") => WriteMode::ErrorIfExists,
            Some(_) => {
                return Err(bad("mode", "it is not append, overwrite, overwrite_partitions, merge or error_if_exists"));
            }
        };
        let order_by = self.order_by.as_deref().map(|name| column("order_by", name)).transpose()?;
        let write = WriteOptions { mode, merge: self.merge(mode)?, dedup: self.dedup(mode)?, order_by };
        if write.order_by.is_some() && !write.is_keyed() {
            return Err(bad("order_by", "rows have an order among those of one key: say merge_keys or dedup_keys"));
        }
        Ok(write)
    }

    fn merge(&self, mode: WriteMode) -> Result<MergeOptions, Problem> {
        let given = [
            ("merge_keys", &self.merge_keys),
            ("merge_matched", &self.merge_matched),
            ("merge_not_matched", &self.merge_not_matched),
            ("delete_when", &self.delete_when),
        ];
        if mode != WriteMode::Merge {
            return match given.iter().find(|(_, value)| value.is_some()) {
                Some((name, _)) => Err(bad(name, "it goes with mode=merge")),
                None => Ok(MergeOptions::default()),
            };
        }
        let keys = columns("merge_keys", self.merge_keys.as_deref())?;
        if keys.is_empty() {
            return Err(bad("merge_keys", "a merge needs the columns of the key"));
        }
        let ignores = |name, value: &Option<String>, otherwise: &'static str| match value.as_deref() {
            None => Ok(false),
            Some("ignore") => Ok(true),
            Some(word) if word == otherwise => Ok(false),
            Some(_) => Err(bad(name, &format!("it is not {otherwise} or ignore"))),
        };
        Ok(MergeOptions {
            keys,
            ignore_matched: ignores("merge_matched", &self.merge_matched, "update")?,
            ignore_not_matched: ignores("merge_not_matched", &self.merge_not_matched, "insert")?,
            delete_when: self.delete_when.as_deref().map(|name| column("delete_when", name)).transpose()?,
        })
    }

    fn dedup(&self, mode: WriteMode) -> Result<DedupOptions, Problem> {
        let keys = match self.dedup_keys.as_deref().map(str::trim) {
            Some(EVERY_COLUMN) => vec![EVERY_COLUMN.to_owned()],
            names => columns("dedup_keys", names)?,
        };
        let scope = match self.dedup.as_deref() {
            None => DedupScope::Both,
            Some("within") => DedupScope::Within,
            Some("across") => DedupScope::Across,
            Some(_) => return Err(bad("dedup", "it is not within or across")),
        };
        let keep = match self.dedup_keep.as_deref() {
            None => None,
            Some("first") => Some(KeepRows::First),
            Some("last") => Some(KeepRows::Last),
            Some("none") => Some(KeepRows::None),
            Some(_) => return Err(bad("dedup_keep", "it is not first, last or none")),
        };
        let is_merge = mode == WriteMode::Merge;
        if is_merge && !keys.is_empty() {
            return Err(bad("dedup_keys", "a merge finds rows by merge_keys"));
        }
        if keys.is_empty() && self.dedup.is_some() {
            return Err(bad("dedup", "it goes with dedup_keys"));
        }
        if keys.is_empty() && keep.is_some() && !is_merge {
            return Err(bad("dedup_keep", "it goes with dedup_keys or merge_keys"));
        }
        if scope == DedupScope::Across && mode != WriteMode::Append {
            return Err(bad("dedup", "only mode=append keeps the rows that are there"));
        }
        if scope == DedupScope::Across && keep.is_some() {
            return Err(bad("dedup_keep", "dedup=across keeps every row of the upload whose key the table lacks"));
        }
        Ok(DedupOptions { keys, scope, keep })
    }
}

fn columns(option: &'static str, names: Option<&str>) -> Result<Vec<String>, Problem> {
    let names: Vec<&str> =
        names.filter(|text| !text.is_empty()).map(|text| text.split(',').collect()).unwrap_or_default();
    if names.len() > MAX_KEY_COLUMNS {
        return Err(bad(option, &format!("there are more than {MAX_KEY_COLUMNS} columns")));
    }
    let columns = names.into_iter().map(|name| column(option, name)).collect::<Result<Vec<_>, _>>()?;
    let is_twice = |(at, name): (usize, &String)| columns[..at].iter().any(|other| other.eq_ignore_ascii_case(name));
    if columns.iter().enumerate().any(is_twice) {
        return Err(bad(option, "a column is named twice"));
    }
    Ok(columns)
}

fn column(option: &'static str, name: &str) -> Result<String, Problem> {
    let name = name.trim().parse::<ColumnName>().map_err(|error| bad(option, &error.to_string()))?;
    Ok(name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> UploadParams {
        let uri = format!("/?{}", query.replace(' ', "%20"));
        axum::extract::Query::try_from_uri(&uri.parse().unwrap()).unwrap().0
    }

    #[test]
    fn without_parameters_rows_are_added_as_they_come() {
        assert!(params("").write_options().unwrap().is_plain_append());
    }

    #[test]
    fn a_merge_is_told_by_its_parameters() {
        let query = "mode=merge&merge_keys=a, b&merge_matched=ignore&delete_when=op&order_by=at";
        let write = params(query).write_options().unwrap();
        assert_eq!((write.mode, write.merge.keys.as_slice()), (WriteMode::Merge, ["a".into(), "b".into()].as_slice()));
        assert!(write.merge.ignore_matched && !write.merge.ignore_not_matched);
        assert_eq!((write.merge.delete_when.as_deref(), write.order_by.as_deref()), (Some("op"), Some("at")));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let queries = [
            "mode=upsert",
            "mode=merge",
            "mode=merge&merge_keys=",
            "mode=merge&merge_keys=a,A",
            "mode=merge&merge_keys=a&merge_matched=delete",
            "mode=merge&merge_keys=a&merge_not_matched=update",
            "mode=merge&merge_keys=a&dedup_keys=a",
            "merge_keys=a",
            "delete_when=a",
            "order_by=a",
            "dedup=within",
            "dedup_keep=first",
            "dedup_keys=a&dedup=both",
            "dedup_keys=a&dedup_keep=any",
            "dedup_keys=a,,b",
            "mode=overwrite&dedup_keys=a&dedup=across",
            "dedup_keys=a&dedup=across&dedup_keep=last",
        ];
        for query in queries {
            assert!(params(query).write_options().is_err(), "{query}");
        }
    }
}
