//! Where the rows of a block end, by the schema of the file.
//!
//! Invariant: a block holds as many rows as it says, and nothing after them: a reader of rows would never come to the
//! end of one that does.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value};

use super::container::malformed;
use crate::decode_error::{DecodeError, shortened};

/// How deep types may be within one another.
const MAX_DEPTH: usize = 64;
/// How many values there may be for every byte of a block, and for none: null takes no byte.
const VALUES_A_BYTE: u64 = 64;
const FREE_VALUES: u64 = 1 << 20;
/// How many bytes of seven bits a number has at most.
const NUMBER_BYTES: u32 = 10;

/// How many bytes a value takes.
enum Shape {
    Fixed(usize),
    Number,
    Bytes,
    Union(Vec<Arc<Self>>),
    Array(Arc<Self>),
    Map(Arc<Self>),
    Record(Vec<Arc<Self>>),
}

/// The rows of a file.
pub(super) struct RowShape(Arc<Shape>);

impl RowShape {
    /// The rows of this schema.
    pub(super) fn of(schema: &Value) -> Result<Self, DecodeError> {
        let mut names = Names::default();
        Ok(Self(names.shape(schema, "", MAX_DEPTH)?.0))
    }

    /// Check that the block is so many rows.
    pub(super) fn check(&self, rows: u64, block: &[u8]) -> Result<(), DecodeError> {
        let values_left = (block.len() as u64).saturating_mul(VALUES_A_BYTE).saturating_add(FREE_VALUES);
        let mut walk = Walk { rest: block, values_left };
        for _ in 0..rows {
            walk.skip(&self.0)?;
        }
        if walk.rest.is_empty() { Ok(()) } else { Err(malformed("a block has more bytes than its rows take")) }
    }
}

/// The types that have names, each with how deep it is.
#[derive(Default)]
struct Names(HashMap<String, (Arc<Shape>, usize)>);

impl Names {
    /// The shape of a schema, and how many types there are within one another.
    fn shape(
        &mut self,
        schema: &Value,
        namespace: &str,
        levels_left: usize,
    ) -> Result<(Arc<Shape>, usize), DecodeError> {
        let below = levels_left.checked_sub(1).ok_or(DecodeError::TooDeep { limit: MAX_DEPTH, line: None })?;
        match schema {
            Value::String(name) => self.by_name(name, namespace, levels_left),
            Value::Array(branches) => {
                let (branches, depth) = self.shapes(branches.iter().map(Some), namespace, below)?;
                Ok((Arc::new(Shape::Union(branches)), depth + 1))
            }
            Value::Object(object) => self.complex(object, namespace, below),
            _ => Err(malformed("its schema is none")),
        }
    }

    fn shapes<'s>(
        &mut self,
        schemas: impl Iterator<Item = Option<&'s Value>>,
        namespace: &str,
        below: usize,
    ) -> Result<(Vec<Arc<Shape>>, usize), DecodeError> {
        let (mut shapes, mut depth) = (Vec::new(), 0);
        for schema in schemas {
            let schema = schema.ok_or_else(|| malformed("a part of its schema has no type"))?;
            let (shape, more) = self.shape(schema, namespace, below)?;
            shapes.push(shape);
            depth = depth.max(more);
        }
        Ok((shapes, depth))
    }

    fn by_name(&self, name: &str, namespace: &str, levels_left: usize) -> Result<(Arc<Shape>, usize), DecodeError> {
        let shape = match name {
            "null" => Shape::Fixed(0),
            "boolean" => Shape::Fixed(1),
            "float" => Shape::Fixed(4),
            "double" => Shape::Fixed(8),
            "int" | "long" => Shape::Number,
            "bytes" | "string" => Shape::Bytes,
            name => {
                let known = self.0.get(&full_name(name, namespace)).or_else(|| self.0.get(name));
                let (shape, depth) = known.ok_or_else(|| {
                    malformed(&format!("the type {:?} is not there, or is within itself", shortened(name)))
                })?;
                if *depth > levels_left {
                    return Err(DecodeError::TooDeep { limit: MAX_DEPTH, line: None });
                }
                return Ok((Arc::clone(shape), *depth));
            }
        };
        Ok((Arc::new(shape), 1))
    }

    fn complex(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        below: usize,
    ) -> Result<(Arc<Shape>, usize), DecodeError> {
        let part = |key: &str| object.get(key).ok_or_else(|| malformed(&format!("a part of its schema has no {key}")));
        let own = part("type")?;
        let Value::String(kind) = own else { return self.shape(own, namespace, below) };
        match kind.as_str() {
            "array" => {
                let (item, depth) = self.shape(part("items")?, namespace, below)?;
                Ok((Arc::new(Shape::Array(item)), depth + 1))
            }
            "map" => {
                let (value, depth) = self.shape(part("values")?, namespace, below)?;
                Ok((Arc::new(Shape::Map(value)), depth + 1))
            }
            "record" | "enum" | "fixed" => {
                let name = part("name")?.as_str().unwrap_or_default();
                let own = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
                let name = full_name(name, own);
                let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
                let (shape, depth) = match kind.as_str() {
                    "enum" => (Shape::Number, 1),
                    "fixed" => {
                        let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                        (Shape::Fixed(size.ok_or_else(|| malformed("a part of its schema has no size"))?), 1)
                    }
                    _ => {
                        let fields = part("fields")?.as_array().map(Vec::as_slice).unwrap_or_default();
                        let types = fields.iter().map(|field| field.get("type"));
                        let (fields, depth) = self.shapes(types, &inner, below)?;
                        (Shape::Record(fields), depth + 1)
                    }
                };
                let shape = Arc::new(shape);
                self.0.insert(name, (Arc::clone(&shape), depth));
                Ok((shape, depth))
            }
            name => self.by_name(name, namespace, below),
        }
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// A block that is walked through.
struct Walk<'b> {
    rest: &'b [u8],
    values_left: u64,
}

impl Walk<'_> {
    fn skip(&mut self, shape: &Shape) -> Result<(), DecodeError> {
        let too_many = || malformed("a block has too many values for its length");
        self.values_left = self.values_left.checked_sub(1).ok_or_else(too_many)?;
        match shape {
            Shape::Fixed(length) => self.pass(*length),
            Shape::Number => self.number().map(|_| ()),
            Shape::Bytes => self.bytes(),
            Shape::Union(branches) => {
                let branch = usize::try_from(self.number()?).ok().and_then(|at| branches.get(at));
                self.skip(branch.ok_or_else(|| malformed("a value is of a type that its union does not have"))?)
            }
            Shape::Array(item) => self.items(|walk| walk.skip(item)),
            Shape::Map(value) => self.items(|walk| {
                walk.bytes()?;
                walk.skip(value)
            }),
            Shape::Record(fields) => fields.iter().try_for_each(|field| self.skip(field)),
        }
    }

    /// Items in runs, each with its length before it, up to an empty one.
    fn items(&mut self, skip: impl Fn(&mut Self) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        loop {
            let count = self.number()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.number()?;
            }
            for _ in 0..count.unsigned_abs() {
                skip(self)?;
            }
        }
    }

    fn bytes(&mut self) -> Result<(), DecodeError> {
        let length = usize::try_from(self.number()?).map_err(|_| malformed("a length is less than nothing"))?;
        self.pass(length)
    }

    fn pass(&mut self, length: usize) -> Result<(), DecodeError> {
        self.rest = self.rest.get(length..).ok_or_else(|| malformed("a row reaches beyond its block"))?;
        Ok(())
    }

    fn number(&mut self) -> Result<i64, DecodeError> {
        let mut bits: u64 = 0;
        for at in 0..NUMBER_BYTES {
            let byte = *self.rest.first().ok_or_else(|| malformed("a row reaches beyond its block"))?;
            self.pass(1)?;
            bits |= u64::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()));
            }
        }
        Err(malformed("a number has too many bytes"))
    }
}
