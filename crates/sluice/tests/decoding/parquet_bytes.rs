//! Parquet files byte by byte, so that they can say what no writer would.

/// Kinds of Thrift's compact protocol.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

pub(crate) const MAGIC: &[u8] = b"PAR1";

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(crate) fn zigzag(value: i64) -> Vec<u8> {
    varint((value << 1 ^ value >> 63) as u64)
}

/// A structure of the compact protocol; its fields come in the order of their numbers.
#[derive(Clone, Default)]
pub(crate) struct Thrift {
    bytes: Vec<u8>,
    last: u8,
}

impl Thrift {
    fn field(mut self, id: u8, kind: u8, value: &[u8]) -> Self {
        self.bytes.push((id - self.last) << 4 | kind);
        self.bytes.extend(value);
        self.last = id;
        self
    }

    pub(crate) fn int(self, id: u8, value: i32) -> Self {
        self.field(id, I32, &zigzag(value.into()))
    }

    pub(crate) fn long(self, id: u8, value: i64) -> Self {
        self.field(id, I64, &zigzag(value))
    }

    pub(crate) fn text(self, id: u8, value: &str) -> Self {
        self.field(id, BINARY, &[varint(value.len() as u64), value.into()].concat())
    }

    pub(crate) fn structure(self, id: u8, value: Self) -> Self {
        self.field(id, STRUCT, &value.end())
    }

    pub(crate) fn structures(self, id: u8, values: impl IntoIterator<Item = Self>) -> Self {
        let values: Vec<Vec<u8>> = values.into_iter().map(Self::end).collect();
        let (count, values) = (values.len() as u64, values.concat());
        self.list(id, STRUCT, count, &values)
    }

    fn list(self, id: u8, kind: u8, count: u64, values: &[u8]) -> Self {
        self.field(id, LIST, &[&[0xf0 | kind], &varint(count)[..], values].concat())
    }

    /// A list of structures that claims to be longer than it is.
    pub(crate) fn claimed(self, id: u8, count: u64) -> Self {
        self.list(id, STRUCT, count, &[])
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

/// One column, with the numbers that the format has for types, encodings and codecs.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) physical: i32,
    /// 0 required, 1 optional, 2 repeated.
    pub(crate) repetition: i32,
    pub(crate) codec: i32,
    pub(crate) values: i64,
    pub(crate) dictionary: Vec<u8>,
    pub(crate) pages: Vec<u8>,
}

pub(crate) const INT32: i32 = 1;
pub(crate) const BYTE_ARRAY: i32 = 6;
pub(crate) const UNCOMPRESSED: i32 = 0;
pub(crate) const PLAIN: i32 = 0;
pub(crate) const RLE: i32 = 3;
pub(crate) const DELTA_BYTE_ARRAY: i32 = 7;
pub(crate) const RLE_DICTIONARY: i32 = 8;

/// A page of data: what its header says, and its bytes.
pub(crate) fn page(values: i32, encoding: i32, uncompressed: usize, bytes: &[u8]) -> Vec<u8> {
    let header = Thrift::default().int(1, values).int(2, encoding).int(3, RLE).int(4, RLE);
    let page = Thrift::default().int(1, 0).int(2, uncompressed as i32).int(3, bytes.len() as i32);
    [&page.structure(5, header).end(), bytes].concat()
}

pub(crate) fn dictionary_page(values: i32, bytes: &[u8]) -> Vec<u8> {
    let header = Thrift::default().int(1, values).int(2, PLAIN);
    let page = Thrift::default().int(1, 2).int(2, bytes.len() as i32).int(3, bytes.len() as i32);
    [&page.structure(7, header).end(), bytes].concat()
}

/// So many times the same small number, as levels and indices are encoded.
pub(crate) fn run(count: u64, value: u8) -> Vec<u8> {
    [varint(count << 1), vec![value]].concat()
}

/// One number, then another one again and again, as lengths are encoded.
pub(crate) fn delta_packed(first: i64, then: i64, count: u64) -> Vec<u8> {
    let (delta, values_a_block) = (then - first, 128);
    let mut bytes = [varint(values_a_block), varint(4), varint(count), zigzag(first)].concat();
    let least = delta.min(0);
    bytes.extend(zigzag(least));
    bytes.extend([32; 4]);
    for at in 0..values_a_block {
        let delta = if at == 0 { delta } else { 0 };
        bytes.extend(((delta - least) as u32).to_le_bytes());
    }
    for _ in 1..(count - 1).div_ceil(values_a_block) {
        bytes.extend([0, 0, 0, 0, 0]);
    }
    bytes
}

/// A file of one row group that has this column, and tells of so many rows.
pub(crate) fn file(column: &Column, rows: i64) -> Vec<u8> {
    let root = Thrift::default().text(4, "m").int(5, 1);
    let leaf = Thrift::default().int(1, column.physical).int(3, column.repetition).text(4, "a");
    let start = MAGIC.len() as i64;
    let size = (column.dictionary.len() + column.pages.len()) as i64;
    let mut metadata = Thrift::default().int(1, column.physical).list(2, I32, 1, &zigzag(PLAIN.into()));
    metadata = metadata.list(3, BINARY, 1, b"\x01a").int(4, column.codec).long(5, column.values);
    metadata = metadata.long(6, size).long(7, size).long(9, start + column.dictionary.len() as i64);
    if !column.dictionary.is_empty() {
        metadata = metadata.long(11, start);
    }
    let chunk = Thrift::default().long(2, start).structure(3, metadata);
    let group = Thrift::default().structures(1, [chunk]).long(2, size).long(3, rows);
    let footer = Thrift::default().int(1, 1).structures(2, [root, leaf]).long(3, rows).structures(4, [group]);
    with_footer(&[&column.dictionary[..], &column.pages].concat(), &footer.end())
}

/// A file of these pages with this footer.
pub(crate) fn with_footer(pages: &[u8], footer: &[u8]) -> Vec<u8> {
    [MAGIC, pages, footer, &(footer.len() as u32).to_le_bytes(), MAGIC].concat()
}
