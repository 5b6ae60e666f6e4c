use std::{
    fs,
    io::{Cursor, Write as _},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, mpsc},
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use parquet::arrow::ArrowWriter;
use rstest::rstest;
use sluice_domain::Compression;
use tempfile::TempDir;

use super::*;
use super::{
    decode::BATCH_BYTES,
    frame::{self, Frame, Tag},
    message::{Found, PROTOCOL, Task},
    rows,
};
use crate::{
    row_sink::{BadRow, Strict},
    source::Content,
};

fn options(format: Format, compression: Compression) -> ReadOptions {
    ReadOptions { compression, ..ReadOptions::of(format) }
}

fn parquet_file(rows: i64) -> Vec<u8> {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|at| format!("text {at}"))));
    let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn content(format: Format, bytes: &[u8]) -> Content {
    if !formats::is_read_from_its_end(format) {
        return Content::Stream { reader: Box::new(Cursor::new(bytes.to_vec())), offset: 0 };
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Content::File(file)
}

/// What a decoder, in a thread of this process, says of a file in the end, and the rows before.
fn served(options: &ReadOptions, bytes: &[u8], schema: Option<&SchemaRef>) -> (Frame, Vec<RecordBatch>, Vec<BadRow>) {
    let (input, mut to_worker) = std::io::pipe().unwrap();
    let (mut from_worker, output) = std::io::pipe().unwrap();
    let serving = std::thread::spawn(move || serve_decoding(input, output, || {}));
    let mut content = content(options.format, bytes);
    let ready = Frame::read(&mut from_worker, 0).unwrap();
    assert_eq!((ready.tag, ready.numbers().unwrap()), (Tag::Ready, [PROTOCOL]));
    let task = Task {
        options: options.clone(),
        limits: DecodeLimits::default(),
        size_bytes: content.size_bytes().unwrap(),
        schema: schema.map(|schema| schema.as_ref().clone()),
    };
    frame::write_message(&mut to_worker, Tag::Task, &task).unwrap();
    let (mut batches, mut bad_rows) = (Vec::new(), Vec::new());
    loop {
        let frame = Frame::read(&mut from_worker, BATCH_BYTES).unwrap();
        match frame.tag {
            Tag::Read => {
                let [offset, length] = frame.numbers().unwrap();
                let piece = content.piece(offset, length as usize).unwrap();
                frame::write(&mut to_worker, Tag::Piece, &[&piece]).unwrap();
            }
            Tag::Batch => batches.push(rows::decode(&frame.bytes, schema.unwrap()).unwrap()),
            Tag::BadRow => bad_rows.push(bad_row::decode(&frame.bytes).unwrap()),
            _ => {
                serving.join().unwrap().unwrap();
                return (frame, batches, bad_rows);
            }
        }
    }
}

#[test]
fn a_file_read_from_its_end_comes_out_as_it_went_in() {
    let (options, bytes) = (options(Format::Parquet, Compression::Identity), parquet_file(100_000));
    let (found, _, _) = served(&options, &bytes, None);
    let Inferred { schema, rows, .. } = found.message::<Found>().unwrap().into();
    assert_eq!((rows, schema.fields().len()), (100_000, 2));
    let (end, batches, _) = served(&options, &bytes, Some(&schema));
    assert_eq!((end.tag, end.numbers().unwrap()), (Tag::Decoded, [100_000]));
    let mut expected = crate::row_sink::Good::default();
    let source = content(Format::Parquet, &bytes);
    let Content::File(file) = source else { panic!("a file") };
    let source = formats::Source::Blob(file.try_into().unwrap());
    formats::decode(&options, source, &schema, &DecodeLimits::default(), &mut expected).unwrap();
    assert_eq!(batches, expected.0);
}

#[test]
fn a_stream_is_decompressed_behind_the_wall() {
    let text: String =
        std::iter::once("a,b\n".to_owned()).chain((0..50_000).map(|at| format!("{at},x{at}\n"))).collect();
    let bytes = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let options = options(Format::Csv, Compression::Zstd);
    let (found, _, _) = served(&options, &bytes, None);
    let Inferred { schema, rows, .. } = found.message::<Found>().unwrap().into();
    assert_eq!(rows, 50_000);
    let (end, batches, _) = served(&options, &bytes, Some(&schema));
    assert_eq!(end.numbers().unwrap(), [50_000]);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 50_000);
}

#[test]
fn what_is_wrong_with_a_file_keeps_its_place() {
    let options = options(Format::Parquet, Compression::Identity);
    let fields = vec![Field::new("n", DataType::Int8, true), Field::new("t", DataType::Utf8, true)];
    let (end, batches, bad_rows) = served(&options, &parquet_file(1000), Some(&Schema::new(fields).into()));
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((end.tag, rows, bad_rows.len()), (Tag::Decoded, 128, 872));
    let error = &bad_rows[0].error;
    let DecodeError::Mismatch { row: Some(129), column, value, .. } = error else { panic!("{error:?}") };
    assert_eq!((column.as_str(), value.as_str()), ("n", "128"));
}

#[test]
fn who_is_not_listened_to_is_told() {
    let (input, to_worker) = std::io::pipe().unwrap();
    let (mut from_worker, output) = std::io::pipe().unwrap();
    let (told, hung_up) = mpsc::channel();
    let serving = std::thread::spawn(move || serve_decoding(input, output, move || told.send(()).unwrap()));
    Frame::read(&mut from_worker, 0).unwrap();
    drop(to_worker);
    hung_up.recv().unwrap();
    assert!(serving.join().unwrap().is_err());
}

/// A program that greets as it should, waits for its task, and then does this.
fn program(script: &str) -> (TempDir, WorkerSettings) {
    let folder = tempfile::tempdir().unwrap();
    let executable = folder.path().join("program");
    let greeting = r"printf 'H\010\000\000\000\002\000\000\000\000\000\000\000'";
    fs::write(&executable, format!("#!/bin/sh\n{greeting}\nhead -c 1 >/dev/null\n{script}\n")).unwrap();
    fs::set_permissions(&executable, fs::Permissions::from_mode(0o700)).unwrap();
    let executable = Some(executable);
    (folder, WorkerSettings { executable, fruitless_cpu_seconds: 1, silent_seconds: 1000, ..WorkerSettings::default() })
}

fn wall(worker: WorkerSettings) -> io::Result<Wall> {
    Wall::open(&IngestSettings { worker, ..IngestSettings::default() })
}

/// What becomes of a file in a program that does this instead of decoding.
fn outcome(script: &str, schema: Option<&SchemaRef>) -> Result<u64, DecodeError> {
    let (_folder, settings) = program(script);
    outcome_with(settings, schema)
}

fn outcome_with(settings: WorkerSettings, schema: Option<&SchemaRef>) -> Result<u64, DecodeError> {
    let wall = wall(settings).unwrap();
    let options = options(Format::Parquet, Compression::Identity);
    let (worker, limits) = (wall.worker(Format::Parquet).unwrap().unwrap(), DecodeLimits::default());
    let reading = Reading { options: &options, limits: &limits, content: content(Format::Parquet, b"PAR1") };
    let decoding = Decoding::start(worker, &wall.settings, reading, schema)?;
    match schema {
        Some(schema) => decoding.decode(schema, &mut Strict(|_| Ok(()))),
        None => decoding.infer().map(|found| found.rows),
    }
}

#[rstest]
#[case("kill -ABRT $$", "aborted")]
#[case("echo 'memory allocation of 7 bytes failed' >&2; kill -ABRT $$", "out of memory")]
#[case("kill -SEGV $$", "invalid access to memory")]
#[case("kill -KILL $$", "killed")]
#[case("kill -XCPU $$", "out of computing time")]
#[case("exit 0", "exit status: 0")]
#[case("exit 101", "exit status: 101")]
#[case("exec >&-; exec sleep 1000", "killed")]
#[case("while :; do :; done", "computed for long")]
#[case("printf 'Z\\000\\000\\000\\000'; exec sleep 1000", "an unknown tag")]
#[case("printf 'I\\377\\377\\377\\377'; exec sleep 1000", "a frame that is too long")]
#[case("printf 'B\\377\\377\\377\\377'; exec sleep 1000", "a frame that is too long")]
#[case("printf 'R\\001\\000\\000\\000x'; exec sleep 1000", "a frame of another length")]
#[case("printf 'I\\002\\000\\000\\000[]'; exec sleep 1000", "invalid length 0")]
#[case("printf 'F\\002\\000\\000\\000[]'; exec sleep 1000", "the decoder was ended")]
#[case("printf 'H\\000\\000\\000\\000'; exec sleep 1000", "something else")]
#[case("printf 'B\\000\\000\\000\\000'; exec sleep 1000", "something else")]
#[case("exec yes", "an unknown tag")]
fn whatever_a_decoder_does_is_a_fault_of_its_file(#[case] script: &str, #[case] reason: &str) {
    let error = outcome(script, None).unwrap_err();
    let DecodeError::Malformed { format: Format::Parquet, reason: found, .. } = &error else { panic!("{error:?}") };
    assert!(found.contains(reason), "{found}");
}

#[rstest]
#[case("printf 'D\\010\\000\\000\\000\\007\\000\\000\\000\\000\\000\\000\\000'; exec sleep 1000", "their number")]
#[case("printf 'B\\000\\000\\000\\000'; exec sleep 1000", "without a header")]
#[case("printf 'B\\010\\000\\000\\000\\377\\377\\377\\377\\377\\377\\377\\377'; exec sleep 1000", "cut off")]
#[case(
    "printf 'B\\020\\000\\000\\000\\010\\000\\000\\000\\000\\000\\000\\000garbage!'; exec sleep 1000",
    "cannot be read"
)]
fn rows_are_not_believed_either(#[case] script: &str, #[case] reason: &str) {
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]).into();
    let error = outcome(script, Some(&schema)).unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}

#[rstest]
#[case("kill -TERM $$", 1000)]
#[case("exec sleep 1000", 1)]
fn who_is_stopped_or_not_let_run_may_try_again(#[case] script: &str, #[case] silent_seconds: u64) {
    let (_folder, settings) = program(script);
    let error = outcome_with(WorkerSettings { silent_seconds, ..settings }, None).unwrap_err();
    assert!(matches!(error, DecodeError::Read(_)), "{error:?}");
}

#[test]
fn an_error_in_its_serial_form_is_that_error() {
    let script = r#"printf 'F\037\000\000\000{"TooManyColumns":{"limit":77}} '; exec sleep 1000"#;
    let error = outcome(script, None).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyColumns { limit: 77 }), "{error:?}");
}

#[test]
fn a_program_that_cannot_decode_is_refused_at_once() {
    let missing = WorkerSettings { executable: Some("/nowhere/sluice".into()), ..WorkerSettings::default() };
    assert_eq!(wall(missing).err().unwrap().kind(), io::ErrorKind::NotFound);
    let other = WorkerSettings { executable: Some("/bin/cat".into()), ..WorkerSettings::default() };
    assert_eq!(wall(other).err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn spare_processes_are_new_alive_and_end_with_the_pool() {
    let (_folder, settings) = program("exit 0");
    let wall = wall(settings).unwrap();
    let take = || wall.worker(Format::Parquet).unwrap().unwrap();
    let (first, second) = (take(), take());
    assert_ne!(first.process.id(), second.process.id());
    let spare: Vec<_> = (0..2).map(|_| take().process.id()).collect();
    for id in spare {
        assert!(!fs::exists(format!("/proc/{id}")).unwrap(), "a dropped process is gone");
    }
    assert!(wall.worker(Format::Csv).unwrap().is_none());
    let id = first.process.id();
    drop((first, wall));
    assert!(!fs::exists(format!("/proc/{id}")).unwrap());
    assert!(second.process.is_alive());
}
