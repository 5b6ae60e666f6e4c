//! A worker whose server says what no server says.

use std::{
    io::{Read as _, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

struct LoneWorker {
    process: Child,
    replies: ChildStdout,
    _folder: TempDir,
}

impl LoneWorker {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(["query-worker", "--address-space-bytes", "3000000000"]).env_clear();
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let replies = process.stdout.take().unwrap();
        let mut worker = Self { process, replies, _folder: folder };
        let lake = json!({ "storage": {}, "data_dir": worker._folder.path() });
        worker.say(&json!({ "Open": { "settings": {}, "lake": lake } }));
        assert_eq!(worker.reply(), json!({ "Ready": { "worn": false } }));
        worker
    }

    fn say(&mut self, message: &Value) {
        let bytes = message.to_string();
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        self.write(&[&[0], length.as_slice(), bytes.as_bytes()].concat());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.process.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn reply(&mut self) -> Value {
        let mut header = [0; 5];
        self.replies.read_exact(&mut header).unwrap();
        assert_eq!(header[0], 0, "a message");
        let mut bytes = vec![0; u32::from_le_bytes(header[1..].try_into().unwrap()) as usize];
        self.replies.read_exact(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

impl Drop for LoneWorker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(sql: &str, tables: Value) -> Value {
    let manner = json!({ "parameters": {}, "is_frugal": false });
    json!({ "Run": {
        "sql": sql, "manner": manner, "tables": tables, "views": [], "wish": { "Rows": null },
        "left_ms": 60_000, "timeout_seconds": 60,
    } })
}

#[test]
fn a_table_that_the_server_did_not_resolve_is_not_opened() {
    let mut worker = LoneWorker::start();
    let address = json!({ "id": "00000000-0000-0000-0000-000000000000", "zone": "curated", "path": "x" });
    let other =
        json!([{ "name": "shop.other", "address": address, "extent": {"version": null}, "is_incremental": false }]);
    for tables in [json!([]), other] {
        worker.say(&run("SELECT * FROM shop.orders", tables));
        assert_eq!(worker.reply(), json!("Taken"));
        let failure = worker.reply().to_string();
        assert!(failure.contains("the server did not resolve shop.orders"), "{failure}");
        assert_eq!(worker.reply(), json!({ "Ready": { "worn": false } }));
    }
}

#[test]
fn a_statement_that_no_server_lets_through_is_not_run() {
    let mut worker = LoneWorker::start();
    for sql in ["COPY (SELECT 1) TO 'x.csv'", "CREATE TABLE a.b AS SELECT 1", "SELECT 1; SELECT 2"] {
        worker.say(&run(sql, json!([])));
        assert_eq!(worker.reply(), json!("Taken"));
        assert!(worker.reply()["Failed"]["Internal"].is_object(), "{sql}");
        assert_eq!(worker.reply(), json!({ "Ready": { "worn": false } }));
    }
}

#[test]
fn a_worker_ends_with_its_pipe_or_with_nonsense_in_it() {
    let mut worker = LoneWorker::start();
    drop(worker.process.stdin.take());
    assert!(worker.process.wait().unwrap().success());
    let mut worker = LoneWorker::start();
    worker.write(&[0xff; 64]);
    worker.process.wait().unwrap();
}
