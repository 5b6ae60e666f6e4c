//! ZIP archives: every member is a file of its own, and the rows of all of them go into one table, in order.
//!
//! Invariant: a member has the length and the checksum that the archive says, or the archive is refused.
//! Invariant: what is wrong is said with the name of the member.

use std::{
    collections::HashSet,
    io::{self, BufReader, Read},
    path::Path,
};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use rawzip::{
    CompressionMethod, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ReaderAt, ZipArchive, ZipEntry, ZipFileHeaderRecord,
    ZipLocator,
};
use sluice_domain::{Format, ReadOptions};

use crate::{
    DecodeError, DecodeLimits,
    formats::{self, Blob, Inferred, decompressed},
    row_sink::{BadRow, RowSink},
    source::{Content, Unread},
    worker::Wall,
};

mod join;

/// How many members an archive may have, folders left out.
const MAX_MEMBERS: usize = 1000;
/// How many decoded bytes a member may have whatever its own length: short texts of one letter are no bombs.
const RATIO_FREE_BYTES: u64 = 16 << 20;
const BUFFER_BYTES: usize = 64 << 10;
/// What some programs add to archives for themselves.
const ADDED_FOLDER: &str = "__MACOSX";
const ADDED_FILE: &str = ".DS_Store";

/// Find out what the members of an archive hold together.
pub(crate) fn infer(
    wall: &Wall,
    options: &ReadOptions,
    unread: Unread,
    scratch_dir: &Path,
) -> Result<Inferred, DecodeError> {
    let archive = Archive::open(unread, options, (wall.limits(), scratch_dir))?;
    let mut all: Option<Inferred> = None;
    for member in &archive.members {
        let found = archive.read(member).and_then(|(options, unread)| wall.infer(&options, unread, scratch_dir));
        let found = found.map_err(|error| error.in_member(&member.name))?;
        all = Some(match all {
            None => found,
            Some(Inferred { schema, rows, first_bad }) => {
                let fields = join::fields(schema.fields(), found.schema.fields());
                let (schema, rows) = (SchemaRef::new(Schema::new(fields)), rows.saturating_add(found.rows));
                let of_member = found.first_bad.map(|error| error.in_member(&member.name));
                Inferred { schema, rows, first_bad: first_bad.or(of_member) }
            }
        });
    }
    all.ok_or(DecodeError::Empty)
}

/// Read the members of an archive into batches of exactly `schema`; how many rows there were.
pub(crate) fn decode(
    wall: &Wall,
    options: &ReadOptions,
    unread: Unread,
    (scratch_dir, schema): (&Path, &SchemaRef),
    sink: &mut dyn RowSink,
) -> Result<u64, DecodeError> {
    let archive = Archive::open(unread, options, (wall.limits(), scratch_dir))?;
    let mut of_all = OfMembers { sink, records: 0, good: 0, before: 0, member: "" };
    for member in &archive.members {
        (of_all.before, of_all.member) = (of_all.records, &member.name);
        let read = archive
            .read(member)
            .and_then(|(options, unread)| wall.decode(&options, unread, (scratch_dir, schema), &mut of_all));
        read.map_err(|error| error.in_member(&member.name))?;
    }
    Ok(of_all.good)
}

/// Takes the rows of one member after another, and numbers them through.
struct OfMembers<'s> {
    sink: &'s mut dyn RowSink,
    /// How many records there were, and how many of them were good.
    records: u64,
    good: u64,
    /// How many there were before this member.
    before: u64,
    member: &'s str,
}

impl RowSink for OfMembers<'_> {
    fn rows(&mut self, batch: RecordBatch) -> Result<(), DecodeError> {
        self.records += batch.num_rows() as u64;
        self.good += batch.num_rows() as u64;
        self.sink.rows(batch)
    }

    fn bad_row(&mut self, row: BadRow) -> Result<(), DecodeError> {
        self.records += 1;
        let (number, error) = (self.before + row.number, row.error.in_member(self.member));
        self.sink.bad_row(BadRow { number, error, ..row })
    }
}

/// An archive whose members may all be read.
struct Archive {
    blob: Blob,
    zip: ZipArchive<Blob>,
    members: Vec<Member>,
    limits: DecodeLimits,
}

struct Member {
    name: String,
    options: ReadOptions,
    method: CompressionMethod,
    wayfinder: rawzip::ZipArchiveEntryWayfinder,
    decoded_bytes: u64,
}

impl ReaderAt for Blob {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_up_to(buffer, offset)
    }
}

impl Archive {
    fn open(
        unread: Unread,
        options: &ReadOptions,
        (limits, scratch_dir): (&DecodeLimits, &Path),
    ) -> Result<Self, DecodeError> {
        let Content::File(file) = unread.into_content(limits, scratch_dir)? else {
            return Err(DecodeError::Read(io::ErrorKind::NotSeekable.into()));
        };
        let blob = Blob::try_from(file)?;
        let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let located = ZipLocator::new().locate_in_reader(blob.clone(), &mut buffer, blob.size_bytes());
        let zip = located.map_err(|(_, error)| refusal(error))?;
        let members = members(&zip, &mut buffer, options)?;
        let archive = Self { blob, zip, members, limits: limits.clone() };
        archive.check()?;
        Ok(archive)
    }

    /// Check that no member is a bomb, that all of them together are none, and that none lies within another.
    fn check(&self) -> Result<(), DecodeError> {
        let (mut ranges, mut decoded_bytes) = (Vec::with_capacity(self.members.len()), 0_u64);
        for member in &self.members {
            let (start, end) = self.entry(member)?.compressed_data_range();
            let limit_bytes = (end - start).saturating_mul(self.limits.ratio).max(RATIO_FREE_BYTES);
            if member.decoded_bytes > limit_bytes {
                return Err(DecodeError::TooLarge { limit_bytes }.in_member(&member.name));
            }
            decoded_bytes = decoded_bytes.saturating_add(member.decoded_bytes);
            ranges.push((start, end, &member.name));
        }
        let limit_bytes = self.limits.decoded_bytes;
        if decoded_bytes > limit_bytes {
            return Err(DecodeError::TooLarge { limit_bytes });
        }
        ranges.sort_unstable();
        match ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            Some(pair) => Err(malformed("it lies within another member").in_member(pair[1].2)),
            None => Ok(()),
        }
    }

    fn entry(&self, member: &Member) -> Result<ZipEntry<'_, Blob>, DecodeError> {
        self.zip.get_entry(member.wayfinder).map_err(|error| refusal(error).in_member(&member.name))
    }

    /// A member's bytes, of which nothing was read yet, and how they are read.
    fn read(&self, member: &Member) -> Result<(ReadOptions, Unread), DecodeError> {
        let head = decompressed(member.options.compression, self.bytes(member)?, &self.limits);
        let options = formats::resolved(&member.options, head)?;
        let unread = Unread::new(self.bytes(member)?, &options);
        Ok((options, unread))
    }

    fn bytes(&self, member: &Member) -> Result<Box<dyn Read + Send>, DecodeError> {
        let entry = self.entry(member)?;
        let (start, end) = entry.compressed_data_range();
        let stored = Sound(self.blob.reader(start).take(end - start));
        Ok(if member.method == CompressionMethod::STORE {
            Box::new(Checked(entry.verifying_reader(stored)))
        } else {
            let stored = BufReader::with_capacity(BUFFER_BYTES, stored);
            Box::new(Checked(entry.verifying_reader(flate2::bufread::DeflateDecoder::new(stored))))
        })
    }
}

/// The members, in the order of the archive's directory.
fn members(zip: &ZipArchive<Blob>, buffer: &mut [u8], options: &ReadOptions) -> Result<Vec<Member>, DecodeError> {
    let (promised, mut found) = (zip.entries_hint(), 0);
    let (mut members, mut names) = (Vec::new(), HashSet::new());
    let mut entries = zip.entries(buffer);
    while let Some(entry) = entries.next_entry().map_err(refusal)? {
        found += 1;
        let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        if entry.is_dir() || is_added(&name) {
            continue;
        }
        if members.len() >= MAX_MEMBERS {
            return Err(malformed(&format!("it has more than {MAX_MEMBERS} members")));
        }
        if !names.insert(name.clone()) {
            return Err(malformed("there are two members of this name").in_member(&name));
        }
        members.push(member(&entry, &name, options).map_err(|error| error.in_member(&name))?);
    }
    if found != promised {
        return Err(malformed(&format!("its directory tells of {promised} members, and there are {found}")));
    }
    Ok(members)
}

fn member(entry: &ZipFileHeaderRecord, name: &str, options: &ReadOptions) -> Result<Member, DecodeError> {
    if leads_out(name) {
        return Err(malformed("its name leads out of the archive"));
    }
    if entry.flags().is_encrypted() {
        return Err(malformed("it is encrypted"));
    }
    let method = entry.compression_method();
    if method != CompressionMethod::STORE && method != CompressionMethod::DEFLATE {
        return Err(malformed(&format!("its compression, {method:?}, is not one that is read; use deflate, or none")));
    }
    let (by_name, compression) = Format::from_file_name(name);
    let format = options.member_format.or(by_name);
    let format = format.ok_or_else(|| malformed("its name does not tell its format; say it with the upload"))?;
    if by_name == Some(Format::Zip) || format == Format::Zip {
        return Err(malformed("an archive within an archive is not read"));
    }
    let mut options = ReadOptions { format, compression: compression.unwrap_or_default(), ..options.clone() };
    if options.csv.open.delimiter && Format::is_tab_separated(name) {
        (options.csv.delimiter, options.csv.open.delimiter) = (b'\t', false);
    }
    let decoded_bytes = entry.uncompressed_size_hint();
    Ok(Member { name: name.to_owned(), options, method, wayfinder: entry.wayfinder(), decoded_bytes })
}

/// Whether a program added the member for itself.
fn is_added(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.next() == Some(ADDED_FOLDER) || name.rsplit('/').next() == Some(ADDED_FILE)
}

/// Whether a name is no name of a file below the archive's folder.
fn leads_out(name: &str) -> bool {
    let mut parts = name.split(['/', '\\']);
    name.starts_with(['/', '\\'])
        || name.contains('\0')
        || name.get(1..2) == Some(":")
        || parts.any(|part| part == "..")
}

fn malformed(reason: &str) -> DecodeError {
    DecodeError::malformed(Format::Zip, reason)
}

fn refusal(error: rawzip::Error) -> DecodeError {
    let text = error.to_string();
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        _ => malformed(&text),
    }
}

/// Reads the archive; a failure of that is no fault of its content.
struct Sound<R>(R);

impl<R: Read> Read for Sound<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| DecodeError::Read(error).into())
    }
}

/// Reads a member; what is wrong with it is the archive's fault.
struct Checked<R>(R);

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.downcast::<DecodeError>() {
            Ok(found) => found.into(),
            Err(damage) => malformed(&damage.to_string()).into(),
        })
    }
}

#[cfg(test)]
mod tests;
