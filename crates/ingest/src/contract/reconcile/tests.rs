use arrow::datatypes::TimeUnit;
use proptest::prelude::*;
use rstest::rstest;
use sluice_domain::{ChangeKind, Contract, Failure as _};
use sluice_table::widens;

use super::*;

const NTZ: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn schema(columns: &[(&str, DataType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>())
}

fn terms(columns: ChangePolicy, types: ChangePolicy) -> Terms {
    Terms { contract: Contract { columns, types, ..Contract::default() }, coerce: false, suite: None }
}

fn declared(table: &Schema, file: &Schema, terms: &Terms) -> Result<Reconciled, ContractBreach> {
    let table = TableColumns { schema: table, partition_by: &["part".to_owned()] };
    reconcile(&table, &FileColumns { schema: file, guessed: false }, terms)
}

fn guessed(table: &Schema, file: &Schema) -> Reconciled {
    let table = TableColumns { schema: table, partition_by: &[] };
    reconcile(&table, &FileColumns { schema: file, guessed: true }, &Terms::default()).unwrap()
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

#[test]
fn new_columns_come_at_the_end_and_missing_ones_are_told() {
    let table = schema(&[("Id", DataType::Int64), ("part", DataType::Utf8), ("old", DataType::Date32)]);
    let file = schema(&[("new", DataType::UInt32), ("ID", DataType::Int64), ("part", DataType::Utf8)]);
    let found = declared(&table, &file, &Terms::default()).unwrap();
    assert_eq!(names(&found.schema), ["Id", "part", "old", "new"]);
    assert_eq!(found.schema.field(3).data_type(), &DataType::Int64);
    assert_eq!((found.missing, found.discarded, found.possible_renames), (vec!["old".to_owned()], vec![], vec![]));
    let added = ChangeKind::Added { data_type: DataType::Int64 };
    assert_eq!(found.changes, [ColumnChange { column: "new".to_owned(), kind: added }]);
}

#[rstest]
#[case(ChangePolicy::DiscardColumns, &["new"], &[])]
#[case(ChangePolicy::QuarantineRows, &[], &["new"])]
fn new_columns_are_what_the_contract_says(
    #[case] policy: ChangePolicy,
    #[case] discarded: &[&str],
    #[case] quarantined: &[&str],
) {
    let (table, file) = (schema(&[("id", DataType::Int64)]), schema(&[("id", DataType::Int64), ("new", NTZ)]));
    let found = declared(&table, &file, &terms(policy, ChangePolicy::Evolve)).unwrap();
    assert_eq!(*found.schema, table);
    assert_eq!((found.discarded, found.quarantined.as_slice()), (owned(discarded), owned(quarantined).as_slice()));
}

#[test]
fn columns_of_the_table_whose_values_are_left_out_are_named_as_it_spells_them() {
    let within = |fields: &[(&str, DataType)]| DataType::Struct(schema(fields).fields);
    let k = ("k", DataType::Int64);
    let table = schema(&[("MÜLL", DataType::Int64), ("o", within(std::slice::from_ref(&k))), ("o.x", DataType::Int64)]);
    let file =
        schema(&[("müll", DataType::Utf8), ("o", within(&[k, ("x", DataType::Utf8)])), ("o.x", DataType::Int64)]);
    let discards = terms(ChangePolicy::DiscardColumns, ChangePolicy::DiscardColumns);
    let found = declared(&table, &file, &discards).unwrap();
    assert_eq!((found.discarded, found.emptied), (owned(&["müll", "o.x"]), owned(&["MÜLL"])));
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_frozen_schema_refuses_by_name_and_tells_what_may_be_a_rename() {
    let table = schema(&[("id", DataType::Int64), ("phone", DataType::Utf8)]);
    let frozen = terms(ChangePolicy::Freeze, ChangePolicy::Freeze);
    let renamed = schema(&[("id", DataType::Int64), ("telephone", DataType::Utf8)]);
    let error = declared(&table, &renamed, &frozen).unwrap_err();
    assert_eq!(error.code(), "schema-frozen");
    assert!(error.to_string().contains("telephone") && error.to_string().contains("(phone may be"), "{error}");
    let other = schema(&[("id", DataType::Float64)]);
    let error = declared(&schema(&[("id", DataType::Int32)]), &other, &frozen).unwrap_err();
    assert!(error.to_string().contains("column id is integer in the table and double"), "{error}");
    assert!(declared(&table, &table, &frozen).is_ok());
}

#[test]
fn a_rename_is_told_and_never_made() {
    let table = schema(&[("id", DataType::Int64), ("phone", DataType::Utf8), ("born", DataType::Date32)]);
    let file = schema(&[("id", DataType::Int64), ("birthday", DataType::Date32), ("tel", DataType::Utf8)]);
    let found = declared(&table, &file, &Terms::default()).unwrap();
    assert_eq!(names(&found.schema), ["id", "phone", "born", "birthday", "tel"]);
    let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    assert_eq!(found.possible_renames, [pair("phone", "tel"), pair("born", "birthday")]);
}

#[rstest]
#[case(DataType::Int32, DataType::Int64, Some(DataType::Int64))]
#[case(DataType::Int64, DataType::Int32, None)]
#[case(DataType::Int8, DataType::Float32, Some(DataType::Float64))]
#[case(DataType::Float32, DataType::Float64, Some(DataType::Float64))]
#[case(DataType::Int64, DataType::Float64, None)]
#[case(DataType::Int32, DataType::Decimal128(5, 2), Some(DataType::Decimal128(12, 2)))]
#[case(DataType::Int64, DataType::Decimal128(38, 0), Some(DataType::Decimal128(38, 0)))]
#[case(DataType::Int64, DataType::Decimal128(38, 37), None)]
#[case(DataType::Int64, DataType::UInt64, Some(DataType::Decimal128(20, 0)))]
#[case(DataType::Decimal128(5, 2), DataType::Decimal128(6, 4), Some(DataType::Decimal128(7, 4)))]
#[case(DataType::Decimal128(10, 2), DataType::Decimal128(5, 2), None)]
#[case(DataType::Date32, NTZ, Some(NTZ))]
#[case(NTZ, DataType::Date32, None)]
#[case(DataType::Utf8, DataType::Int64, None)]
#[case(DataType::Int64, DataType::Utf8, None)]
#[case(DataType::Int64, DataType::Null, None)]
fn a_type_is_widened_as_far_as_the_values_ask(
    #[case] table: DataType,
    #[case] file: DataType,
    #[case] wider: Option<DataType>,
) {
    let found = declared(&schema(&[("c", table.clone())]), &schema(&[("c", file)]), &Terms::default()).unwrap();
    assert_eq!(found.schema.field(0).data_type(), &wider.unwrap_or(table));
}

#[rstest]
#[case(DataType::Int32, DataType::Int64, None)]
#[case(DataType::Float32, DataType::Float64, None)]
#[case(DataType::Decimal128(10, 2), DataType::Int64, None)]
#[case(DataType::Decimal128(10, 2), DataType::Float64, None)]
#[case(DataType::Int32, DataType::Float64, Some(DataType::Float64))]
#[case(DataType::Int64, DataType::Decimal128(38, 0), Some(DataType::Decimal128(38, 0)))]
#[case(DataType::Date32, NTZ, Some(NTZ))]
fn a_guess_widens_nothing_that_it_does_not_know(
    #[case] table: DataType,
    #[case] file: DataType,
    #[case] wider: Option<DataType>,
) {
    let found = guessed(&schema(&[("c", table.clone())]), &schema(&[("c", file)]));
    assert_eq!(found.schema.field(0).data_type(), &wider.unwrap_or(table));
}

#[test]
fn a_partition_column_keeps_its_type() {
    let table = schema(&[("part", DataType::Int32), ("v", DataType::Int32)]);
    let file = schema(&[("part", DataType::Int64), ("v", DataType::Int64)]);
    let found = declared(&table, &file, &Terms::default()).unwrap();
    assert_eq!(*found.schema, schema(&[("part", DataType::Int32), ("v", DataType::Int64)]));
}

#[test]
fn types_that_do_not_fit_are_what_the_contract_says() {
    let (table, file) = (schema(&[("c", DataType::Int64)]), schema(&[("c", DataType::Utf8)]));
    let by = |policy| declared(&table, &file, &terms(ChangePolicy::Evolve, policy));
    assert_eq!(by(ChangePolicy::DiscardColumns).unwrap().discarded, ["c"]);
    assert!(by(ChangePolicy::Freeze).is_err());
    for policy in [ChangePolicy::Evolve, ChangePolicy::QuarantineRows] {
        assert_eq!(*by(policy).unwrap().schema, table);
    }
    let coerced = Terms { coerce: true, ..terms(ChangePolicy::Freeze, ChangePolicy::Freeze) };
    assert!(declared(&table, &file, &coerced).unwrap().discarded.is_empty());
}

#[test]
fn structs_evolve_within() {
    let object = |columns: &[(&str, DataType)]| DataType::Struct(schema(columns).fields().clone());
    let list = |item: DataType| DataType::List(Field::new("element", item, true).into());
    let table = schema(&[("s", list(object(&[("a", DataType::Int32), ("b", DataType::Utf8)])))]);
    let file = schema(&[("s", list(object(&[("c", DataType::Date32), ("A", DataType::Int64)])))]);
    let found = declared(&table, &file, &Terms::default()).unwrap();
    let wanted = object(&[("a", DataType::Int64), ("b", DataType::Utf8), ("c", DataType::Date32)]);
    assert_eq!(*found.schema, schema(&[("s", list(wanted))]));
    let told: Vec<_> = found.changes.iter().map(|change| change.column.as_str()).collect();
    assert_eq!(told, ["s.element.a", "s.element.c"]);
}

#[rstest]
#[case(ChangePolicy::DiscardColumns, ChangePolicy::Evolve, DataType::Int64, &["s.b"], &[])]
#[case(ChangePolicy::QuarantineRows, ChangePolicy::QuarantineRows, DataType::Int32, &[], &["s.b"])]
#[case(ChangePolicy::Evolve, ChangePolicy::DiscardColumns, DataType::Int32, &["s"], &[])]
fn fields_within_are_columns_to_the_contract(
    #[case] columns: ChangePolicy,
    #[case] types: ChangePolicy,
    #[case] a: DataType,
    #[case] discarded: &[&str],
    #[case] quarantined: &[&str],
) {
    let object = |columns: &[(&str, DataType)]| DataType::Struct(schema(columns).fields().clone());
    let table = schema(&[("s", object(&[("a", DataType::Int32)]))]);
    let file = schema(&[("s", object(&[("a", DataType::Int64), ("b", DataType::Utf8)]))]);
    let found = declared(&table, &file, &terms(columns, types)).unwrap();
    assert_eq!(*found.schema, schema(&[("s", object(&[("a", a)]))]));
    assert_eq!((found.discarded, found.quarantined), (owned(discarded), owned(quarantined)));
    let frozen = declared(&table, &file, &terms(ChangePolicy::Freeze, ChangePolicy::Evolve)).unwrap_err();
    assert!(frozen.to_string().contains("s.b"), "{frozen}");
}

#[rstest]
#[case(&["id", "ID"])]
#[case(&["id", "new", "NEW"])]
fn two_columns_of_one_name_are_refused(#[case] columns: &[&str]) {
    let file: Vec<_> = columns.iter().map(|name| (*name, DataType::Int64)).collect();
    let error = declared(&schema(&[("id", DataType::Int64)]), &schema(&file), &Terms::default()).unwrap_err();
    assert_eq!(error.code(), "duplicate-column");
}

fn any_type() -> impl Strategy<Value = DataType> {
    use DataType as T;
    let plain = prop::sample::select(vec![
        T::Boolean,
        T::Int8,
        T::Int16,
        T::Int32,
        T::Int64,
        T::Float32,
        T::Float64,
        T::Decimal128(5, 2),
        T::Decimal128(20, 0),
        T::Decimal128(38, 9),
        T::Date32,
        NTZ,
        T::Utf8,
        T::Binary,
    ]);
    plain.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| T::List(Field::new("element", item, true).into())),
            prop::collection::btree_map("[a-c]", inner, 1..3).prop_map(|fields| T::Struct(
                fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect()
            )),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = Schema> {
    let columns = prop::collection::btree_map("[a-f]", any_type(), 1..5).prop_shuffle_columns();
    columns.prop_map(|columns| {
        Schema::new(columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect::<Vec<_>>())
    })
}

trait ShuffleColumns: Strategy<Value = std::collections::BTreeMap<String, DataType>> + Sized {
    fn prop_shuffle_columns(self) -> impl Strategy<Value = Vec<(String, DataType)>> {
        self.prop_map(|columns| columns.into_iter().collect::<Vec<_>>()).prop_shuffle()
    }
}

impl<S: Strategy<Value = std::collections::BTreeMap<String, DataType>>> ShuffleColumns for S {}

/// Whether values of a type are all kept, in the same places, once a column has another.
fn keeps(old: &DataType, new: &DataType) -> bool {
    match (old, new) {
        (DataType::Struct(old), DataType::Struct(new)) => {
            old.len() <= new.len()
                && old
                    .iter()
                    .zip(new)
                    .all(|(old, new)| old.name() == new.name() && keeps(old.data_type(), new.data_type()))
        }
        (DataType::List(old), DataType::List(new)) => keeps(old.data_type(), new.data_type()),
        (old, new) => old == new || widens(old, new),
    }
}

proptest! {
    #[test]
    fn what_the_table_holds_stays_readable_in_its_place(table in any_schema(), file in any_schema(), guess: bool) {
        let sides = TableColumns { schema: &table, partition_by: &[] };
        let brought = FileColumns { schema: &file, guessed: guess };
        let found = reconcile(&sides, &brought, &Terms::default()).unwrap();
        for (old, new) in table.fields().iter().zip(found.schema.fields()) {
            prop_assert_eq!(old.name(), new.name());
            prop_assert!(keeps(old.data_type(), new.data_type()), "{} to {}", old, new);
        }
        prop_assert_eq!(found.changes.is_empty(), table == *found.schema);
    }

    #[test]
    fn doing_it_again_changes_nothing(table in any_schema(), file in any_schema(), guess: bool) {
        let brought = FileColumns { schema: &file, guessed: guess };
        let once = reconcile(&TableColumns { schema: &table, partition_by: &[] }, &brought, &Terms::default()).unwrap();
        let sides = TableColumns { schema: &once.schema, partition_by: &[] };
        let twice = reconcile(&sides, &brought, &Terms::default()).unwrap();
        prop_assert_eq!(&once.schema, &twice.schema);
        prop_assert!(twice.changes.is_empty());
    }

    #[test]
    fn every_column_of_the_file_is_accounted_for(table in any_schema(), file in any_schema(), at in 0_usize..3) {
        let policy = [ChangePolicy::Evolve, ChangePolicy::DiscardColumns, ChangePolicy::QuarantineRows][at];
        let found = declared(&table, &file, &terms(policy, policy)).unwrap();
        for field in file.fields() {
            let (name, places) = (field.name(), [&found.discarded, &found.quarantined]);
            let elsewhere = places.iter().any(|place| place.contains(name));
            prop_assert!(elsewhere || found.schema.field_with_name(name).is_ok());
        }
    }
}
