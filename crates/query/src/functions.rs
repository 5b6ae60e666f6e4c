//! The functions that every query has beside the engine's own.
//!
//! Invariant: of NULL each makes NULL, and its result is no longer than its arguments and 64 characters together.

mod dates;
mod hash;
mod masks;

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::{
    arrow::datatypes::DataType,
    common::types::{NativeType, logical_date, logical_string},
    error::Result,
    logical_expr::{
        Coercion, ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, TypeSignatureClass, Volatility,
    },
    scalar::ScalarValue,
};

/// All of them.
pub(crate) fn functions() -> Vec<ScalarUDF> {
    let text = || Signature::coercible(vec![text()], Volatility::Immutable);
    let moment = || Signature::one_of(moments(), Volatility::Immutable);
    let salted = Signature::one_of(
        vec![
            TypeSignature::Coercible(vec![self::text(); 2]),
            TypeSignature::Coercible(vec![self::text(), self::text(), whole_number()]),
        ],
        Volatility::Immutable,
    );
    vec![
        function("mask_email", text(), DataType::Utf8, |values| masks::each(values, masks::email)),
        function("mask_phone", text(), DataType::Utf8, |values| masks::each(values, masks::phone)),
        function("mask_credit_card", text(), DataType::Utf8, |values| masks::each(values, masks::credit_card)),
        function("mask_ssn", text(), DataType::Utf8, |values| masks::each(values, masks::ssn)),
        function("hash_salted", salted, DataType::Utf8, hash::salted),
        function("is_weekend", moment(), DataType::Boolean, dates::is_weekend),
        function("is_month_end", moment(), DataType::Boolean, dates::is_month_end),
        function("is_business_hour", moment(), DataType::Boolean, dates::is_business_hour),
    ]
}

/// A text, or a whole number that is read as one: cards and telephones come as numbers, too.
fn text() -> Coercion {
    let text = TypeSignatureClass::Native(logical_string());
    Coercion::new_implicit(text, vec![TypeSignatureClass::Integer], NativeType::String)
}

fn whole_number() -> Coercion {
    Coercion::new_exact(TypeSignatureClass::Integer)
}

/// A day, or a moment; a text is read as one, as the engine's own functions of dates do.
fn moments() -> Vec<TypeSignature> {
    let text = TypeSignatureClass::Native(logical_string());
    let nanoseconds = NativeType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Nanosecond, None);
    let moment = Coercion::new_implicit(TypeSignatureClass::Timestamp, vec![text], nanoseconds);
    let day = Coercion::new_exact(TypeSignatureClass::Native(logical_date()));
    vec![TypeSignature::Coercible(vec![moment]), TypeSignature::Coercible(vec![day])]
}

/// A function that works on whole columns.
fn function(
    name: &str,
    signature: Signature,
    result: DataType,
    body: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
) -> ScalarUDF {
    let over_values = move |values: &[ColumnarValue]| {
        let is_one = values.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let column = body(&ColumnarValue::values_to_arrays(values)?)?;
        Ok(match is_one {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&column, 0)?),
            false => ColumnarValue::Array(column),
        })
    };
    SimpleScalarUDF::new_with_signature(name, signature, result, Arc::new(over_values)).into()
}
