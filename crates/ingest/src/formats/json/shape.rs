//! What a column of JSON values looks like: the narrowest type that holds all of them.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::{DataType, Field};
use sluice_domain::ColumnName;

use super::parse::BadRecord;
use crate::{
    columns::{FieldIndex, Value},
    decode_error::shortened,
    kinds::Kind,
    limits::COLUMN_DEPTH,
};

/// The shape of the values seen so far.
#[derive(Clone)]
enum Shape {
    Scalar(Kind),
    List(Box<Shape>),
    Struct(Fields),
}

/// The columns of a file, in the order in which they first appear.
#[derive(Clone)]
pub(super) struct Shapes {
    fields: Fields,
    budget: Budget,
}

/// How many more columns there may be.
#[derive(Clone)]
struct Budget {
    left: usize,
    limit: usize,
}

#[derive(Clone, Default)]
struct Fields {
    index: FieldIndex,
    fields: Vec<SeenField>,
    objects: u64,
}

#[derive(Clone)]
struct SeenField {
    name: String,
    shape: Shape,
    /// The last of the objects that had it.
    last_object: u64,
}

impl Shapes {
    pub(super) fn new(limit: usize) -> Self {
        Self { fields: Fields::default(), budget: Budget { left: limit, limit } }
    }

    /// Take one more row into account.
    pub(super) fn observe(&mut self, entries: &[(Cow<str>, Value)]) -> Result<(), BadRecord> {
        self.fields.observe(entries, COLUMN_DEPTH, &mut self.budget)
    }

    pub(super) fn into_fields(self) -> Vec<Field> {
        self.fields.into_fields()
    }

    /// What the values of a column are; none where they are lists or structs.
    pub(super) fn kind(&self, column: usize) -> Option<Kind> {
        match self.fields.fields.get(column)?.shape {
            Shape::Scalar(kind) => Some(kind),
            Shape::List(_) | Shape::Struct(_) => None,
        }
    }

    /// The same, of flattened rows: an object that is missing in some of them leaves no column of its own behind.
    pub(super) fn into_flat_fields(mut self, separator: &str) -> Vec<Field> {
        let names: Vec<String> = self.fields.fields.iter().map(|field| field.name.clone()).collect();
        let has_parts = |name: &str| {
            names.iter().any(|other| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(separator)))
        };
        let is_missing = |field: &SeenField| matches!(field.shape, Shape::Scalar(Kind::Null));
        self.fields.fields.retain(|field| !(is_missing(field) && has_parts(&field.name)));
        self.fields.into_fields()
    }
}

impl Fields {
    fn observe(
        &mut self,
        entries: &[(Cow<str>, Value)],
        levels_left: usize,
        budget: &mut Budget,
    ) -> Result<(), BadRecord> {
        self.objects += 1;
        for (key, value) in entries {
            let at = match self.index.find(key) {
                Some(at) => at,
                None => self.add(key, budget)?,
            };
            let Some(field) = self.fields.get_mut(at) else { continue };
            if field.last_object == self.objects {
                return Err(BadRecord::Malformed(format!("the key {:?} is there twice, in two cases", shortened(key))));
            }
            field.last_object = self.objects;
            field.shape.observe(value, levels_left, budget)?;
        }
        Ok(())
    }

    fn add(&mut self, key: &str, budget: &mut Budget) -> Result<usize, BadRecord> {
        budget.left = budget.left.checked_sub(1).ok_or(BadRecord::TooManyColumns { limit: budget.limit })?;
        let name: ColumnName =
            key.parse().map_err(|error: sluice_domain::NameError| BadRecord::Malformed(error.to_string()))?;
        let at = self.fields.len();
        self.index.insert(key, at);
        self.fields.push(SeenField { name: name.into(), shape: Shape::Scalar(Kind::Null), last_object: 0 });
        Ok(at)
    }

    fn into_fields(self) -> Vec<Field> {
        self.fields.into_iter().map(|field| Field::new(field.name, field.shape.into_type(), true)).collect()
    }
}

impl Shape {
    fn observe(&mut self, value: &Value, levels_left: usize, budget: &mut Budget) -> Result<(), BadRecord> {
        match (&mut *self, value) {
            (_, Value::Null) | (Self::Scalar(Kind::Text), _) => {}
            (Self::Scalar(Kind::Null), Value::Array(_) | Value::Object(_)) => {
                *self = if levels_left == 0 { Self::Scalar(Kind::Text) } else { Self::begun(value) };
                self.observe(value, levels_left, budget)?;
            }
            (Self::List(item), Value::Array(members)) => {
                members.iter().try_for_each(|member| item.observe(member, levels_left.saturating_sub(1), budget))?;
            }
            (Self::Struct(fields), Value::Object(entries)) => {
                fields.observe(entries, levels_left.saturating_sub(1), budget)?;
            }
            (Self::Scalar(kind), value) => *kind = kind.join(kind_of(value)),
            (Self::List(_) | Self::Struct(_), _) => *self = Self::Scalar(Kind::Text),
        }
        Ok(())
    }

    /// The shape to look into a first array or object with.
    fn begun(value: &Value) -> Self {
        match value {
            Value::Array(_) => Self::List(Box::new(Self::Scalar(Kind::Null))),
            _ => Self::Struct(Fields::default()),
        }
    }

    fn into_type(self) -> DataType {
        match self {
            Self::Scalar(kind) => kind.data_type(),
            Self::List(item) => DataType::List(Arc::new(Field::new("element", item.into_type(), true))),
            Self::Struct(fields) => DataType::Struct(fields.into_fields().into()),
        }
    }
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Boolean(_) => Kind::Boolean,
        Value::Number(text) => Kind::of_number(text).unwrap_or(Kind::Text),
        Value::String(text) => Kind::of_moment(text),
        Value::Array(_) | Value::Object(_) => Kind::Text,
    }
}
