//! A table's columns as a JSON Schema (draft 2020-12): what a JSON record of the table looks like.

use arrow_schema::{DataType, Field, Fields, Schema};
use serde_json::{Map, Value, json};

/// The dialect of JSON Schema.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of a record; numbers, texts and moments as the server writes them.
pub fn json_schema(title: &str, schema: &Schema) -> Value {
    let mut object = object(schema.fields());
    object.insert("$schema".into(), DRAFT.into());
    object.insert("title".into(), title.into());
    Value::Object(object)
}

fn object(fields: &Fields) -> Map<String, Value> {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name().clone(), Value::Object(property(field)))).collect();
    let required: Vec<&String> = fields.iter().filter(|field| !field.is_nullable()).map(|field| field.name()).collect();
    let mut object = Map::new();
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object.insert("additionalProperties".into(), false.into());
    object
}

fn property(field: &Field) -> Map<String, Value> {
    let mut property = values(field.data_type());
    if let Some(kind) = property.get_mut("type").filter(|_| field.is_nullable()) {
        *kind = json!([kind, "null"]);
    }
    if let Some(comment) = field.metadata().get("comment") {
        property.insert("description".into(), comment.as_str().into());
    }
    property
}

fn values(data_type: &DataType) -> Map<String, Value> {
    let whole = |minimum: i64, maximum: i64| json!({"type": "integer", "minimum": minimum, "maximum": maximum});
    let value = match data_type {
        DataType::Boolean => json!({"type": "boolean"}),
        DataType::Int8 => whole(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => whole(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => whole(i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => whole(i64::MIN, i64::MAX),
        DataType::Float32 | DataType::Float64 => json!({"type": "number"}),
        DataType::Decimal128(..) => json!({"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}),
        DataType::Date32 => json!({"type": "string", "format": "date"}),
        DataType::Timestamp(_, Some(_)) => json!({"type": "string", "format": "date-time"}),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            json!({"type": "string", "contentEncoding": "base16"})
        }
        DataType::List(item) | DataType::LargeList(item) => json!({"type": "array", "items": property(item)}),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => json!({"type": "object", "additionalProperties": property(&pair[1])}),
            _ => json!({"type": "object"}),
        },
        DataType::Struct(fields) => Value::Object(object(fields)),
        _ => json!({"type": "string"}),
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_described() {
        let inner = vec![Field::new("x", DataType::Date32, false)];
        let comment = [("comment".to_owned(), "the key".to_owned())].into();
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int8, false).with_metadata(comment),
            Field::new("name", DataType::Utf8, true),
            Field::new("place", DataType::Struct(inner.into()), true),
        ]);
        let expected = json!({
            "$schema": DRAFT,
            "title": "a.t",
            "type": "object",
            "properties": {
                "id": {"type": "integer", "minimum": -128, "maximum": 127, "description": "the key"},
                "name": {"type": ["string", "null"]},
                "place": {
                    "type": ["object", "null"],
                    "properties": {"x": {"type": "string", "format": "date"}},
                    "required": ["x"],
                    "additionalProperties": false,
                },
            },
            "required": ["id"],
            "additionalProperties": false,
        });
        assert_eq!(json_schema("a.t", &schema), expected);
    }
}
