use arrow::{
    array::{Date32Array, Int32Array, TimestampMicrosecondArray},
    datatypes::DataType as T,
};
use chrono::{DateTime, Datelike, Timelike as _};
use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn derived(texts: &[&str]) -> Vec<DerivedColumn> {
    texts.iter().map(|text| DerivedColumn::parse(text).unwrap().unwrap()).collect()
}

/// The rows of one column `ts`, with the derived columns empty.
fn extended(values: ArrayRef, texts: &[&str]) -> (RecordBatch, Derivations) {
    let file = Schema::new(vec![Field::new("ts", values.data_type().clone(), true)]);
    let (schema, columns) = Derivations::extend(&file, &derived(texts)).unwrap();
    let empty = schema.fields().iter().skip(1);
    let empty = empty.map(|field| arrow::array::new_null_array(field.data_type(), values.len()));
    let columns_of_rows = std::iter::once(Arc::clone(&values)).chain(empty).collect();
    let derivations = Derivations::new(&schema, &columns);
    (RecordBatch::try_new(Arc::new(schema), columns_of_rows).unwrap(), derivations)
}

fn ints(rows: &RecordBatch, column: &str) -> Vec<Option<i32>> {
    rows.column_by_name(column).unwrap().as_primitive::<arrow::datatypes::Int32Type>().iter().collect()
}

proptest! {
    #[test]
    fn every_part_is_that_of_the_calendar_in_utc(
        micros in prop::collection::vec(prop::option::of(-62_000_000_000_000_000_i64..250_000_000_000_000_000), 1..50),
        zoned: bool,
    ) {
        let values = TimestampMicrosecondArray::from(micros.clone()).with_timezone_opt(zoned.then_some("UTC"));
        let parts = ["year(ts)", "month(ts)", "day(ts)", "hour(ts)", "date(ts)"];
        let (rows, derivations) = extended(Arc::new(values), &parts);
        let rows = derivations.apply(rows).unwrap().unwrap();
        let moments: Vec<_> = micros.iter().map(|micros| micros.and_then(DateTime::from_timestamp_micros)).collect();
        let expect = |part: fn(&DateTime<chrono::Utc>) -> u32| -> Vec<Option<i32>> {
            moments.iter().map(|moment| moment.as_ref().map(|moment| part(moment) as i32)).collect()
        };
        let years: Vec<_> = moments.iter().map(|moment| moment.map(|moment| moment.year())).collect();
        prop_assert_eq!(ints(&rows, "year"), years);
        prop_assert_eq!(ints(&rows, "month"), expect(Datelike::month));
        prop_assert_eq!(ints(&rows, "day"), expect(Datelike::day));
        prop_assert_eq!(ints(&rows, "hour"), expect(|moment| moment.hour()));
        let dates = rows.column_by_name("date").unwrap().as_primitive::<Date32Type>();
        for (at, moment) in moments.iter().enumerate() {
            let day = moment.map(|moment| (moment.date_naive() - chrono::NaiveDate::default()).num_days() as i32);
            prop_assert_eq!(dates.is_valid(at).then(|| dates.value(at)), day);
        }
    }

    #[test]
    fn what_was_derived_once_is_taken_again(days in prop::collection::vec(prop::option::of(-700_000..2_900_000), 1..50)) {
        let (rows, derivations) = extended(Arc::new(Date32Array::from(days)), &["year(ts)", "day(ts) as d"]);
        let once = derivations.apply(rows).unwrap().unwrap();
        prop_assert_eq!(derivations.apply(once.clone()).unwrap().unwrap(), once);
    }
}

#[test]
fn a_value_that_differs_is_told_with_its_row() {
    let (rows, derivations) = extended(Arc::new(Date32Array::from(vec![Some(0), Some(365), None])), &["year(ts)"]);
    let with = |years: Vec<Option<i32>>| {
        let columns = vec![Arc::clone(rows.column(0)), Arc::new(Int32Array::from(years)) as ArrayRef];
        derivations.apply(RecordBatch::try_new(rows.schema(), columns).unwrap()).unwrap()
    };
    assert!(with(vec![Some(1970), None, None]).is_ok());
    let mismatch = with(vec![Some(1970), Some(1970), None]).unwrap_err();
    assert_eq!((mismatch.row, mismatch.value.as_str()), (1, "1970"));
    assert_eq!(mismatch.expected, "year(ts), which is 1971");
    assert_eq!(with(vec![None, None, Some(1)]).unwrap_err().row, 2);
}

#[rstest]
#[case("year(x)", T::Utf8)]
#[case("hour(x)", T::Date32)]
#[case("year(gone)", T::Date32)]
#[case("year(x) as X", T::Date32)]
#[case("day(x)", T::Int64)]
fn what_cannot_be_derived_is_refused(#[case] text: &str, #[case] of: T) {
    let file = Schema::new(vec![Field::new("x", of, true)]);
    let refused = Derivations::extend(&file, &derived(&[text])).unwrap_err();
    assert!(matches!(refused, Refusal::BadPartitioning { .. }), "{refused:?}");
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let file = Schema::new(vec![Field::new("a", T::Date32, true), Field::new("b", T::Date32, true)]);
    Derivations::extend(&file, &derived(&["year(a)", "year(b)"])).unwrap_err();
    Derivations::extend(&file, &derived(&["year(a)", "year(b) as year_b"])).unwrap();
}

#[test]
fn parts_asked_for_by_name_are_those_of_the_column_date() {
    let file =
        |names: &[&str]| Schema::new(names.iter().map(|name| Field::new(*name, T::Date32, true)).collect::<Vec<_>>());
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let found = |columns: &[&str], asked: &[&str]| -> Vec<String> {
        derivations_of(&file(columns), &names(asked), &[]).iter().map(ToString::to_string).collect()
    };
    assert_eq!(found(&["Date"], &["year", "month", "day"]), ["year(Date)", "month(Date)", "day(Date)"]);
    assert_eq!(found(&["date", "Month"], &["year", "month"]), ["year(date)"]);
    assert!(found(&["day_of_sale"], &["year"]).is_empty());
    let asked = derived(&["year(ts)"]);
    assert_eq!(derivations_of(&file(&["date", "ts"]), &names(&["year"]), &asked), asked);
}
