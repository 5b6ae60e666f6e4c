use std::sync::Arc;

use arrow::{
    array::{
        Array as _, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray,
        StringArray, StructArray, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Int32Type},
};
use proptest::prelude::*;

use super::*;

/// A batch with every kind of column that a table has, cut out of a larger one.
fn batch() -> RecordBatch {
    let numbers = Int64Array::from(vec![Some(1), None, Some(i64::MAX), Some(-4), Some(5)]);
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec![Some("é"), None, Some(""), Some("abc"), Some("d")])) as ArrayRef,
    )]);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(4)]),
        Some(vec![Some(5); 40]),
    ]);
    let decimals = Decimal128Array::from(vec![1, 2, 3, 4, 5]).with_precision_and_scale(12, 2).unwrap();
    let columns: [(&str, ArrayRef); 8] = [
        ("number", Arc::new(numbers)),
        ("object", Arc::new(inner)),
        ("list", Arc::new(lists)),
        ("decimal", Arc::new(decimals)),
        ("text", Arc::new(StringArray::from(vec!["one", "two", "three", "four", "five"]))),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"\xff", b"", b"a", b"b", b"c"]))),
        ("yes", Arc::new(BooleanArray::from(vec![true, false, true, false, true]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3, 4, 5]).with_timezone("UTC"))),
    ];
    let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
    let whole = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
    let extra = (whole, Float64Array::from(vec![f64::NAN, -0.0, 1.5, 2.5, 3.5]));
    let mut columns = extra.0.columns().to_vec();
    columns.push(Arc::new(extra.1));
    let mut fields: Vec<Arc<Field>> = extra.0.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("float", DataType::Float64, false)));
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap().slice(1, 4)
}

fn bytes(batch: &RecordBatch) -> Vec<u8> {
    Encoder::default().encode(batch).unwrap().parts().concat()
}

#[test]
fn a_batch_comes_out_as_it_went_in() {
    let batch = batch();
    let mut encoder = Encoder::default();
    for rows in [batch.slice(0, 0), batch.slice(2, 1), batch.clone()] {
        let encoded = encoder.encode(&rows).unwrap().parts().concat();
        let decoded = decode(&Buffer::from(encoded), &batch.schema()).unwrap();
        // A number that is none equals no other.
        assert_eq!(format!("{:?}", decoded.columns()), format!("{:?}", rows.columns()));
    }
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let (batch, numbers) = (batch(), arrow::datatypes::Schema::new(vec![Field::new("t", DataType::Utf8, true)]));
    let texts: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"\xff"]));
    let not_text = RecordBatch::try_from_iter_with_nullable([("t", texts, true)]).unwrap();
    for (batch, schema) in [(&batch, &numbers), (&not_text, &numbers)] {
        assert!(decode(&Buffer::from(bytes(batch)), &Arc::new(schema.clone())).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_rows_are_sound_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let batch = batch();
        let mut bytes = bytes(&batch);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(decoded) = decode(&Buffer::from(bytes), &batch.schema()) {
            prop_assert_eq!(decoded.schema(), batch.schema());
            for column in decoded.columns() {
                prop_assert!(column.to_data().validate_full().is_ok());
            }
        }
    }
}
