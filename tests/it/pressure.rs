//! More work than the server takes on, and what stays quick meanwhile.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::http::Method;
use futures::future::join_all;
use sluice_tests::{TestLake, assert_problem, held_body};

const UPLOADS: &str = "/api/v1/tables/a/t/uploads?format=csv";
/// As many as are taken at once by default.
const MANY: usize = 64;
/// As many as are decoded at once by default.
const DECODES: usize = 2;
/// What is answered without any work, with room for a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn one_upload_more_than_there_are_places_is_told_at_once_to_come_again() {
    let lake = TestLake::open().await;
    let mut held = Vec::new();
    for _ in 0..MANY {
        let (body, mut holder) = held_body(b"id\n1\n", b"2\n");
        let answer = tokio::spawn(lake.call(Method::POST, UPLOADS).body(body).send());
        holder.reached().await;
        held.push((answer, holder));
    }
    let asked = Instant::now();
    let (body, _never_released) = held_body(b"id\n1\n", b"2\n");
    let answer = lake.call(Method::POST, UPLOADS).body(body).send().await;
    assert!(asked.elapsed() < AT_ONCE, "the refusal took {:?}", asked.elapsed());
    assert_problem(&answer, 429, "too-many-uploads");
    assert_eq!(answer.header("retry-after"), Some("1"));
    for (answer, holder) in held {
        holder.release();
        answer.await.unwrap().expect_status(201);
    }
    assert_eq!(lake.count("a.t").await, 2 * MANY as u64);
}

/// How many scratch files this process has open in the lake at one moment: each decode has one for what it writes.
fn scratch_files(lake: &TestLake) -> usize {
    // A look takes its time: what was open all the while between two looks was open at once.
    let (before, after) = (open_scratch_files(lake), open_scratch_files(lake));
    before.intersection(&after).count()
}

fn open_scratch_files(lake: &TestLake) -> BTreeSet<PathBuf> {
    let scratch = lake.data_dir().canonicalize().unwrap().join("scratch");
    let open = std::fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap);
    // A file may be closed while it is looked at.
    open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).filter(|file| file.starts_with(&scratch)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_many_uploads_run_probes_are_answered_at_once_and_few_are_decoded_at_a_time() {
    let lake = TestLake::open().await;
    let file: String =
        std::iter::once("id,name\n".to_owned()).chain((0..20_000).map(|id| format!("{id},x{id}\n"))).collect();
    let uploads = join_all((0..MANY).map(|_| tokio::spawn(lake.call(Method::POST, UPLOADS).body(file.clone()).send())));
    let mut uploads = tokio::spawn(uploads);
    let (mut probes, mut slowest, mut most_decodes) = (0, Duration::ZERO, 0);
    let answers = loop {
        tokio::select! {
            biased;
            answers = &mut uploads => break answers.unwrap(),
            () = async {
                for path in ["/healthz", "/readyz"] {
                    let asked = Instant::now();
                    lake.get(path).await.expect_status(200);
                    slowest = slowest.max(asked.elapsed());
                }
                most_decodes = most_decodes.max(scratch_files(&lake));
            } => probes += 2,
        }
    };
    assert!(probes > 0, "the uploads were over before a probe");
    assert!((1..=DECODES).contains(&most_decodes), "{most_decodes} uploads were decoded at a time");
    assert!(slowest < AT_ONCE, "a probe of {probes} took {slowest:?}");
    for answer in answers {
        answer.unwrap().expect_status(201);
    }
    assert_eq!(lake.count("a.t").await, 20_000 * MANY as u64);
}

#[tokio::test]
async fn an_upload_of_a_key_that_is_under_way_tells_when_to_ask_again() {
    let lake = TestLake::open().await;
    let call = || lake.call(Method::POST, UPLOADS).header("idempotency-key", "k");
    let (body, mut holder) = held_body(b"id\n1\n", b"2\n");
    let first = tokio::spawn(call().body(body).send());
    holder.reached().await;
    let second = call().body("id\n1\n2\n").send().await;
    assert_problem(&second, 409, "idempotency-key-in-flight");
    assert_eq!(second.header("retry-after"), Some("1"));
    holder.release();
    first.await.unwrap().expect_status(201);
    // A conflict that waiting does not solve tells no time.
    let other = call().body("id\n3\n").send().await;
    assert_problem(&other, 422, "idempotency-key-reused");
    assert_eq!(other.header("retry-after"), None);
}

#[tokio::test]
async fn an_upload_without_space_tells_when_to_come_again() {
    let lake = TestLake::builder().set(|settings| settings.ingest.min_free_bytes = u64::MAX).open().await;
    let answer = lake.upload("a.t", "?format=csv", "id\n1\n").await;
    assert_problem(&answer, 507, "storage-full");
    assert_eq!(answer.header("retry-after"), Some("60"));
}
