//! The pages of a column in a row group, compressed as they come; its dictionary is the last to be known.

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{Mutex, PoisonError},
};

use bytes::{Buf as _, Bytes};
use parquet::{
    basic::{Compression, Encoding, EncodingMask, PageType},
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter as _},
        writer::ColumnCloseResult,
    },
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, OffsetIndexBuilder, PageEncodingStats},
        reader::{ChunkReader, Length},
        statistics::Statistics,
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use zstd::bulk::Compressor;

/// What a page's header takes at the most, in bytes.
const HEADER_BYTES: usize = 64;

/// A column of a row group, encoded.
pub(in crate::writer) struct FlatChunk {
    pub(in crate::writer) pages: ChunkPages,
    pub(in crate::writer) close: ColumnCloseResult,
}

/// The pages of a column, the dictionary first, to be read once from the start.
#[derive(Clone)]
pub(in crate::writer) struct ChunkPages(VecDeque<Bytes>);

impl Read for ChunkPages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(page) = self.0.front_mut() {
            if page.has_remaining() {
                let count = page.len().min(buffer.len());
                page.copy_to_slice(&mut buffer[..count]);
                return Ok(count);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

impl Length for ChunkPages {
    fn len(&self) -> u64 {
        self.0.iter().map(|page| page.len() as u64).sum()
    }
}

impl ChunkReader for ChunkPages {
    type T = Self;

    fn get_read(&self, start: u64) -> Result<Self, ParquetError> {
        let mut pages = self.clone();
        io::copy(&mut pages.by_ref().take(start), &mut io::sink())?;
        Ok(pages)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// The data pages that a column has so far.
pub(super) struct Pages {
    compression: Compression,
    pages: VecDeque<Bytes>,
    index: OffsetIndexBuilder,
    stats: Vec<PageEncodingStats>,
    rows: u64,
    bytes: usize,
    uncompressed_bytes: usize,
}

impl Pages {
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            compression,
            pages: VecDeque::new(),
            index: OffsetIndexBuilder::new(),
            stats: Vec::new(),
            rows: 0,
            bytes: 0,
            uncompressed_bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a page has places in a dictionary.
    fn have_places(&self) -> bool {
        self.stats.iter().any(|stats| stats.encoding == Encoding::RLE_DICTIONARY)
    }

    /// Add a page of so many rows, nulls included.
    pub(super) fn add(&mut self, body: &[u8], encoding: Encoding, rows: usize) -> Result<(), ParquetError> {
        let page = Page::DataPage {
            buf: compressed(body, self.compression)?,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let (bytes, spec) = serialized(page, body.len())?;
        self.index.append_offset_and_size(self.bytes as i64, bytes.len() as i32);
        self.index.append_row_count(rows as i64);
        self.count(PageType::DATA_PAGE, encoding, &spec);
        self.rows += rows as u64;
        self.pages.push_back(bytes);
        Ok(())
    }

    fn count(&mut self, page_type: PageType, encoding: Encoding, spec: &PageWriteSpec) {
        self.bytes += spec.compressed_size;
        self.uncompressed_bytes += spec.uncompressed_size;
        match self.stats.last_mut() {
            Some(last) if last.page_type == page_type && last.encoding == encoding => last.count += 1,
            _ => self.stats.push(PageEncodingStats { page_type, encoding, count: 1 }),
        }
    }

    /// The column with the dictionary that its pages look into.
    pub(super) fn close(
        mut self,
        column: ColumnDescPtr,
        statistics: Statistics,
        dictionary: impl FnOnce() -> (Vec<u8>, u32),
    ) -> Result<FlatChunk, ParquetError> {
        let mut dictionary_bytes = 0;
        if self.have_places() {
            let (body, count) = dictionary();
            let buf = compressed(&body, self.compression)?;
            let page = Page::DictionaryPage { buf, num_values: count, encoding: Encoding::PLAIN, is_sorted: false };
            let (bytes, spec) = serialized(page, body.len())?;
            self.count(PageType::DICTIONARY_PAGE, Encoding::PLAIN, &spec);
            dictionary_bytes = bytes.len();
            self.pages.push_front(bytes);
        }
        let encodings: Vec<_> = self.stats.iter().map(|stats| stats.encoding).chain([Encoding::RLE]).collect();
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(self.compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(self.stats)
            .set_total_compressed_size(self.bytes as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(0)
            .set_statistics(statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: self.bytes as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(self.index.build()),
        };
        let close = close.update_dictionary_location(dictionary_bytes)?;
        Ok(FlatChunk { pages: ChunkPages(self.pages), close })
    }
}

/// A page behind its header.
fn serialized(page: Page, uncompressed_bytes: usize) -> Result<(Bytes, PageWriteSpec), ParquetError> {
    let page = CompressedPage::new(page, uncompressed_bytes);
    let mut sink = TrackedWrite::new(Vec::with_capacity(page.compressed_size() + HEADER_BYTES));
    let spec = SerializedPageWriter::new(&mut sink).write_page(page)?;
    Ok((sink.into_inner()?.into(), spec))
}

/// How many compressors wait for their next use; others are made and given back.
const IDLE_COMPRESSORS: usize = 8;
/// How much room a compressor keeps for what it makes, in bytes.
const KEPT_BYTES: usize = 2 << 20;

/// Compressors that nobody uses now, each with room for what it makes.
static COMPRESSORS: Mutex<Vec<(Compressor<'static>, Vec<u8>)>> = Mutex::new(Vec::new());

fn compressed(bytes: &[u8], compression: Compression) -> Result<Bytes, ParquetError> {
    let Compression::ZSTD(level) = compression else {
        return Err(ParquetError::NYI(format!("columns that are compressed by {compression}, not by Zstandard")));
    };
    let free = COMPRESSORS.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let (mut compressor, mut room) = free.unwrap_or_else(|| (Compressor::default(), Vec::new()));
    compressor.set_compression_level(level.compression_level())?;
    room.clear();
    room.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
    compressor.compress_to_buffer(bytes, &mut room)?;
    let packed = Bytes::copy_from_slice(&room);
    if room.capacity() > KEPT_BYTES {
        room = Vec::new();
    }
    let mut idle = COMPRESSORS.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() < IDLE_COMPRESSORS {
        idle.push((compressor, room));
    }
    Ok(packed)
}
