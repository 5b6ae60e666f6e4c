//! Types of columns by the names that others give them.

use arrow::datatypes::DataType;
use sluice_domain::parse_type;

/// What a name of a type means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TypeName {
    AnyInteger,
    AnyFloat,
    AnyDecimal,
    AnyInstant,
    Exactly(DataType),
}

impl TypeName {
    /// The type of this name: of Python, pandas, Spark, SQL, or ours; none if nobody calls one so.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let lower = name.trim().to_ascii_lowercase();
        Some(match lower.as_str() {
            "int" | "integer" => Self::AnyInteger,
            "float" => Self::AnyFloat,
            "decimal" | "decimaltype" | "numeric" => Self::AnyDecimal,
            "datetime" | "timestamp" | "timestamptype" | "datetime64" => Self::AnyInstant,
            instant if instant.starts_with("datetime64[") => Self::AnyInstant,
            "str" | "string" | "object" | "varchar" | "text" | "stringtype" | "utf8" => Self::Exactly(DataType::Utf8),
            "int8" | "bytetype" | "tinyint" => Self::Exactly(DataType::Int8),
            "int16" | "shorttype" | "smallint" => Self::Exactly(DataType::Int16),
            "int32" | "integertype" => Self::Exactly(DataType::Int32),
            "int64" | "longtype" | "bigint" | "long" => Self::Exactly(DataType::Int64),
            "float32" | "floattype" | "real" => Self::Exactly(DataType::Float32),
            "float64" | "doubletype" | "double" | "double precision" => Self::Exactly(DataType::Float64),
            "bool" | "boolean" | "booleantype" | "bool_" => Self::Exactly(DataType::Boolean),
            "date" | "datetype" => Self::Exactly(DataType::Date32),
            _ => Self::Exactly(parse_type(name).ok()?),
        })
    }

    /// Whether a type is meant.
    pub(super) fn is(&self, data_type: &DataType) -> bool {
        match self {
            Self::AnyInteger => data_type.is_integer(),
            Self::AnyFloat => data_type.is_floating(),
            Self::AnyDecimal => matches!(data_type, DataType::Decimal128(..)),
            Self::AnyInstant => matches!(data_type, DataType::Timestamp(..)),
            Self::Exactly(exactly) => exactly == data_type,
        }
    }
}

/// What pandas calls a type.
pub(crate) fn pandas_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Timestamp(..) => "datetime64[ns]".to_owned(),
        data_type if data_type.is_integer() || data_type.is_floating() => data_type.to_string().to_lowercase(),
        _ => "object".to_owned(),
    }
}
