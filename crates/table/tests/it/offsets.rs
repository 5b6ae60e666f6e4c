//! Streams of rows that tell how far they are: the offset is in the log with its rows, and only goes up.

use arrow::datatypes::{DataType, Field};
use sluice_table::{CommitFailure, Operation, SchemaChange, Table, TableError, Transaction};

use crate::lake::{Lake, row};

fn offset(stream: &str, sequence: i64) -> Transaction {
    Transaction { app_id: stream.to_owned(), sequence }
}

async fn append(lake: &Lake, table: &Table, key: i64, offsets: &[Transaction]) -> Result<u64, TableError> {
    let mut commit = lake.commit("app", lake.write(&[row(key, "a", key)]).await);
    commit.offsets = offsets.to_vec();
    table.append(&commit).await.map(|entry| entry.version)
}

#[tokio::test]
async fn a_stream_is_where_its_newest_rows_are_and_no_commit_takes_it_back() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    assert_eq!(table.last_offset("s1").await.unwrap(), None);
    append(&lake, &table, 1, &[offset("s1", 5), offset("s2", -3)]).await.unwrap();
    append(&lake, &table, 2, &[offset("s1", 9)]).await.unwrap();
    for table in [&table, &lake.open()] {
        assert_eq!(table.last_offset("s1").await.unwrap(), Some(9));
        assert_eq!(table.last_offset("s2").await.unwrap(), Some(-3));
    }
    for (table, behind) in [(&table, 9), (&lake.open(), 8), (&lake.open(), i64::MIN)] {
        let refused = append(&lake, table, 3, &[offset("s2", 1), offset("s1", behind)]).await.unwrap_err();
        let expected = matches!(
            &refused,
            TableError::Commit(CommitFailure::OffsetTaken { app_id, newest: 9 }) if app_id == "s1"
        );
        assert!(expected, "{refused:?}");
    }
    assert_eq!(table.last_offset("s2").await.unwrap(), Some(-3), "a refused commit moved a stream");
    assert_eq!(lake.rows().await.len(), 3);
}

#[tokio::test]
async fn of_two_processes_with_one_offset_one_commits() {
    let (lake, one) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let two = lake.open();
    for at in 1..=10 {
        let place = [offset("s1", at)];
        let (left, right) = tokio::join!(append(&lake, &one, at, &place), append(&lake, &two, at, &place));
        assert_eq!([left.is_ok(), right.is_ok()].iter().filter(|done| **done).count(), 1, "{left:?} {right:?}");
    }
    assert_eq!(lake.rows().await.len(), 11);
}

#[tokio::test]
async fn appends_that_do_not_look_at_the_files_see_every_change_of_the_columns() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let other = lake.open();
    for key in 1..=5 {
        append(&lake, &table, key, &[]).await.unwrap();
    }
    let added = SchemaChange::AddColumns(vec![Field::new("extra", DataType::Utf8, true)]);
    lake.apply(&other, &Operation::Schema(added)).await.unwrap();
    append(&lake, &table, 6, &[]).await.unwrap();
    let described = table.describe(None).await.unwrap();
    assert_eq!((described.version, described.rows, described.files), (7, Some(7), 7));
    assert!(described.schema.field_with_name("extra").is_ok());
    assert_eq!(other.describe(None).await.unwrap().rows, Some(7));
}
