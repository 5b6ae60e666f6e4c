//! Files that cost a decoder much, lie, or are damaged: each one is refused in time, and the server goes on.

#![expect(clippy::print_stdout, reason = "the figures are for whoever reads the test's output")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures::{StreamExt as _, stream};

use crate::{
    corpus::hostile,
    damaged::{SOUND_ROWS, cut, flipped, sound},
    processes::{decoders, is_alive, resident_bytes},
    server::{Answer, ServerProcess},
    text::{Text, hostile_text},
};

/// How long a refusal may take.
const IN_TIME: Duration = Duration::from_secs(10);
/// What the server itself may have of memory meanwhile.
const MEMORY_BYTES: u64 = 600 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks at the memory of a server and of its decoders until it is dropped.
struct Memory {
    end: Arc<AtomicBool>,
    most: Arc<[AtomicU64; 2]>,
}

impl Memory {
    fn watch(server: u32) -> Self {
        let (end, most) = (Arc::new(AtomicBool::new(false)), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let watching = Self { end: Arc::clone(&end), most: Arc::clone(&most) };
        thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let own = resident_bytes(server);
                let all = own + decoders(server).into_iter().map(resident_bytes).sum::<u64>();
                most[0].fetch_max(own, Ordering::Relaxed);
                most[1].fetch_max(all, Ordering::Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        watching
    }

    /// The most that the server had, and the most that it had together with its decoders, in mebibytes.
    fn most(&self) -> [u64; 2] {
        [0, 1].map(|at| self.most[at].load(Ordering::Relaxed) >> 20)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn assert_refused(name: &str, answer: &Answer) {
    println!("{} {:>5} ms {name}: {:.200}", answer.status, answer.took.as_millis(), answer.body["detail"]);
    assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    assert!(answer.body["type"].as_str().is_some_and(|kind| !kind.contains("internal")), "{name}: {answer:?}");
    assert!(answer.took < IN_TIME, "{name}: {answer:?}");
}

#[tokio::test]
async fn a_hostile_file_is_refused_in_time() {
    let server = ServerProcess::start(&[]);
    let memory = Memory::watch(server.id());
    for (at, file) in hostile().into_iter().enumerate() {
        let answer = server.upload(&format!("t{at}"), "parquet", file.bytes).await;
        assert_refused(file.name, &answer);
    }
    let [own, all] = memory.most();
    println!("memory: {own} MiB, with decoders {all} MiB");
    assert!(own << 20 < MEMORY_BYTES, "the server had {own} MiB");
    assert_eq!(server.upload("sound", "parquet", sound()).await.status, 201);
    assert_eq!(server.count("sound").await, SOUND_ROWS);
}

#[tokio::test]
async fn hostile_text_is_refused_in_time() {
    let server = ServerProcess::start(&[]);
    let memory = Memory::watch(server.id());
    for (at, Text { name, format, bytes }) in hostile_text().into_iter().enumerate() {
        assert_refused(name, &server.upload(&format!("t{at}"), format, bytes).await);
        println!("memory: {} MiB", memory.most()[0]);
    }
    let [own, _] = memory.most();
    assert!(own << 20 < MEMORY_BYTES, "the server had {own} MiB");
    assert_eq!(server.upload("sound", "csv", b"a,b\n1,2\n".into()).await.status, 201);
    assert_eq!(server.count("sound").await, 1);
}

#[tokio::test]
async fn hostile_files_at_once_leave_decoders_for_others() {
    let server = ServerProcess::start(&[]);
    let memory = Memory::watch(server.id());
    let worst = ["prefixes", "list-of-one-row", "page-zstd", "nested-deep"];
    let files: Vec<_> = hostile().into_iter().filter(|file| worst.contains(&file.name)).collect();
    assert_eq!(files.len(), worst.len());
    let uploads = (0..16).map(|at| {
        let (server, file) = (&server, &files[at % files.len()]);
        async move { (file.name, server.upload(&format!("t{at}"), "parquet", file.bytes.clone()).await) }
    });
    let answers: Vec<_> = stream::iter(uploads).buffer_unordered(16).collect().await;
    for (name, answer) in &answers {
        println!("{} {:>5} ms {name}", answer.status, answer.took.as_millis());
        assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    }
    println!("memory: {:?} MiB", memory.most());
    assert_eq!(server.upload("sound", "parquet", sound()).await.status, 201);
    assert!(is_alive(server.id()));
}

#[tokio::test]
async fn a_damaged_file_is_rows_or_refused() {
    let server = ServerProcess::start(&[]);
    let sound = sound();
    for (at, bytes) in cut(&sound, 50).enumerate() {
        assert_refused(&format!("cut-{at}"), &server.upload(&format!("cut{at}"), "parquet", bytes).await);
    }
    let mut refused = 0;
    for (at, bytes) in flipped(&sound, 150).enumerate() {
        let answer = server.upload(&format!("flip{at}"), "parquet", bytes).await;
        assert!(answer.status == 201 || (400..500).contains(&answer.status), "flip {at}: {answer:?}");
        assert!(answer.took < IN_TIME, "flip {at}: {answer:?}");
        refused += usize::from(answer.status != 201);
    }
    println!("{refused} of 150 files with one changed bit were refused");
    assert!(refused > 20, "{refused}");
    assert!(is_alive(server.id()));
}
