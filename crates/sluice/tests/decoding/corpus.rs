//! Files that cost a decoder much, or lie.

use crate::parquet_bytes::{
    BYTE_ARRAY, Column, DELTA_BYTE_ARRAY, INT32, MAGIC, PLAIN, RLE_DICTIONARY, Thrift, UNCOMPRESSED, delta_packed,
    dictionary_page, file, page, run, with_footer,
};

/// Numbers of the format for codecs.
const SNAPPY: i32 = 1;
const GZIP: i32 = 2;
const ZSTD: i32 = 6;

/// A file that must be refused, and its name.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Every file that must be refused.
pub(crate) fn hostile() -> Vec<Hostile> {
    let mut all = vec![
        Hostile { name: "prefixes", bytes: prefixes(1 << 20, 8000) },
        Hostile { name: "prefixes-in-few-rows", bytes: prefixes(64 << 20, 100) },
        Hostile { name: "list-of-one-row", bytes: long_list(1 << 30) },
        Hostile { name: "list-of-two-billion", bytes: long_list((1 << 31) - 1) },
        Hostile { name: "rows-of-one-number", bytes: same(1 << 30) },
        Hostile { name: "nothing", bytes: Vec::new() },
        Hostile { name: "magic-only", bytes: MAGIC.into() },
        Hostile { name: "magic-twice", bytes: [MAGIC, MAGIC].concat() },
        Hostile { name: "text", bytes: b"a,b\n1,2\n3,4\n5,6\n".into() },
        Hostile { name: "rows-promised", bytes: plain(3, i64::MAX, &[0; 12]) },
        Hostile { name: "rows-negative", bytes: plain(3, -1, &[0; 12]) },
        Hostile { name: "rows-missing", bytes: plain(3, 3, &[0; 8]) },
        Hostile {
            name: "schema-promised",
            bytes: footer_only(Thrift::default().int(1, 1).claimed(2, u32::MAX.into())),
        },
        Hostile { name: "columns", bytes: footer_only(columns(2001)) },
        Hostile { name: "columns-in-groups", bytes: footer_only(columns_in_groups(67, 30)) },
        Hostile { name: "nested", bytes: footer_only(nested(64)) },
        Hostile { name: "nested-deep", bytes: footer_only(nested(1_000_000)) },
        Hostile { name: "children-promised", bytes: footer_only(children(i32::MAX)) },
        Hostile { name: "children-negative", bytes: footer_only(children(-1)) },
        Hostile { name: "row-groups", bytes: footer_only(row_groups(32_769)) },
        Hostile { name: "row-groups-promised", bytes: footer_only(columns(1).long(3, 1).claimed(4, 1 << 31)) },
        Hostile { name: "footer-of-17-mib", bytes: with_footer(&[], &vec![0; 17 << 20]) },
        Hostile { name: "footer-of-nulls", bytes: with_footer(&[], &[0; 4096]) },
        Hostile { name: "footer-of-structures", bytes: with_footer(&[], &[0x1c; 1 << 20]) },
        Hostile { name: "footer-of-lists", bytes: with_footer(&[], &[0x19; 1 << 20]) },
        Hostile { name: "encrypted", bytes: [MAGIC, &[0; 64], &[16, 0, 0, 0], b"PARE"].concat() },
    ];
    for (name, codec) in
        [("page-none", UNCOMPRESSED), ("page-snappy", SNAPPY), ("page-gzip", GZIP), ("page-zstd", ZSTD)]
    {
        all.push(Hostile { name, bytes: large_page(codec) });
    }
    all.push(Hostile { name: "page-of-zeros", bytes: page_of_zeros(1800 << 20) });
    let mut long = plain(3, 3, &[0; 12]);
    let end = long.len() - 8;
    long[end..end + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    all.push(Hostile { name: "footer-longer-than-the-file", bytes: long });
    all
}

fn column(physical: i32, values: i64, pages: Vec<u8>) -> Column {
    Column { physical, repetition: 0, codec: UNCOMPRESSED, values, dictionary: Vec::new(), pages }
}

/// One long text; every further one repeats it and costs nothing.
fn prefixes(length: usize, rows: u64) -> Vec<u8> {
    let prefixes = delta_packed(0, length as i64, rows);
    let suffixes = delta_packed(length as i64, 0, rows);
    let bytes = [prefixes, suffixes, vec![b'a'; length]].concat();
    let page = page(rows as i32, DELTA_BYTE_ARRAY, bytes.len(), &bytes);
    file(&column(BYTE_ARRAY, rows as i64, page), rows as i64)
}

/// One row with a list of so many times the same number.
fn long_list(items: u64) -> Vec<u8> {
    let levels = |runs: Vec<u8>| [&(runs.len() as u32).to_le_bytes(), &runs[..]].concat();
    let repetition = levels([run(1, 0), run(items - 1, 1)].concat());
    let bytes = [repetition, levels(run(items, 1)), vec![1], run(items, 0)].concat();
    let column = Column {
        repetition: 2,
        dictionary: dictionary_page(1, &7_i32.to_le_bytes()),
        ..column(INT32, items as i64, page(items as i32, RLE_DICTIONARY, bytes.len(), &bytes))
    };
    file(&column, 1)
}

/// A sound file of one number in so many rows, which takes its time.
pub(crate) fn same(rows: u64) -> Vec<u8> {
    let bytes = [vec![1], run(rows, 0)].concat();
    let column = Column {
        dictionary: dictionary_page(1, &7_i32.to_le_bytes()),
        ..column(INT32, rows as i64, page(rows as i32, RLE_DICTIONARY, bytes.len(), &bytes))
    };
    file(&column, rows as i64)
}

/// Numbers without tricks, of which the footer says what it likes.
fn plain(values: i64, rows: i64, bytes: &[u8]) -> Vec<u8> {
    file(&column(INT32, values, page(3, PLAIN, bytes.len(), bytes)), rows)
}

/// A page that says it is two gigabytes once it is decompressed.
fn large_page(codec: i32) -> Vec<u8> {
    let bytes = zstd::encode_all(&[0; 1000][..], 1).unwrap();
    let rows = i32::MAX / 4;
    let page = page(rows, PLAIN, i32::MAX as usize, &bytes);
    file(&Column { codec, ..column(INT32, rows.into(), page) }, rows.into())
}

/// A page that is as long as it says, of which few values are told.
fn page_of_zeros(length: u64) -> Vec<u8> {
    let zeros = std::io::Read::take(std::io::repeat(0), length);
    let bytes = zstd::encode_all(zeros, 1).unwrap();
    let page = page(3, PLAIN, length as usize, &bytes);
    file(&Column { codec: ZSTD, ..column(INT32, 4, page) }, 4)
}

fn footer_only(footer: Thrift) -> Vec<u8> {
    with_footer(&[], &footer.end())
}

fn schema(elements: impl IntoIterator<Item = Thrift>) -> Thrift {
    Thrift::default().int(1, 1).structures(2, elements)
}

fn group(name: &str, children: i32) -> Thrift {
    Thrift::default().int(3, 0).text(4, name).int(5, children)
}

fn leaf(name: &str) -> Thrift {
    Thrift::default().int(1, INT32).int(3, 0).text(4, name)
}

fn columns(count: i32) -> Thrift {
    let leaves = (0..count).map(|at| leaf(&format!("c{at}")));
    schema(std::iter::once(group("m", count)).chain(leaves))
}

/// Few columns of many fields each.
fn columns_in_groups(count: i32, fields: i32) -> Thrift {
    let groups = (0..count).flat_map(|at| {
        let leaves = (0..fields).map(|field| leaf(&format!("f{field}")));
        std::iter::once(group(&format!("g{at}"), fields)).chain(leaves)
    });
    schema(std::iter::once(group("m", count)).chain(groups))
}

fn nested(depth: usize) -> Thrift {
    schema((0..depth).map(|_| group("x", 1)).chain([leaf("a")]))
}

fn children(count: i32) -> Thrift {
    schema([group("m", count), leaf("a")]).long(3, 1)
}

fn row_groups(count: usize) -> Thrift {
    let empty = Thrift::default().structures(1, []).long(2, 0).long(3, 0);
    columns(1).long(3, 0).structures(4, vec![empty; count])
}
