//! Whatever comes together, in whatever order: each request has its own outcome, and the table has what they say.

use std::cell::Cell;

use futures::future::join_all;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;
use sluice_tests::TestLake;

use super::rows_path;

/// One request of a random lot.
#[derive(Debug, Clone)]
struct Sent {
    /// The rows, of which those that are none are broken.
    ids: Vec<Option<u32>>,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Lines,
    Array,
    Pretty,
}

fn any_request() -> impl Strategy<Value = Sent> {
    let id = prop_oneof![9 => (1_u32..1000).prop_map(Some), 1 => Just(None)];
    let form = prop_oneof![Just(Form::Lines), Just(Form::Array), Just(Form::Pretty)];
    (prop::collection::vec(id, 1..6), form).prop_map(|(ids, form)| Sent { ids, form })
}

impl Sent {
    fn body(&self) -> String {
        let row = |id: &Option<u32>| id.map_or("{\"id\": \"broken\"}".to_owned(), |id| format!("{{\"id\": {id}}}"));
        let rows: Vec<String> = self.ids.iter().map(row).collect();
        match self.form {
            Form::Lines => rows.join("\n"),
            Form::Array => format!("[{}]", rows.join(",")),
            Form::Pretty => format!("[\n  {}\n]", rows.join(",\n  ")),
        }
    }

    fn sum(&self) -> u64 {
        self.ids.iter().flatten().map(|id| u64::from(*id)).sum()
    }
}

#[test]
fn what_the_receipts_say_is_in_the_table_and_nothing_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let lake = runtime.block_on(TestLake::open());
    let path = rows_path("nyc.taps");
    runtime.block_on(async { lake.post(&path, &[], "{\"id\": 0}").await.expect_status(201) });
    let (count, sum, set_aside) = (Cell::new(1), Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    let lots = prop::collection::vec(any_request(), 1..30);
    let outcome = runner.run(&lots, |lot| {
        // Each lot goes on where the last one ended, so that a failure shows at once.
        runtime.block_on(async {
            let answers = join_all(lot.iter().map(|sent| lake.post(&path, &[], sent.body()))).await;
            for (sent, answer) in lot.iter().zip(&answers) {
                let good = sent.ids.iter().flatten().count() as u64;
                prop_assert_eq!(answer.status.as_u16(), if good > 0 { 201 } else { 422 }, "{:?}", sent);
                if good > 0 {
                    let bad = sent.ids.len() as u64 - good;
                    prop_assert_eq!(answer.json()["rows_committed"].as_u64(), Some(good));
                    prop_assert_eq!(answer.json()["rows_quarantined"].as_u64(), Some(bad));
                    prop_assert_eq!(answer.json()["rows_received"].as_u64(), Some(good + bad));
                    count.set(count.get() + good);
                    sum.set(sum.get() + sent.sum());
                    set_aside.set(set_aside.get() + bad);
                }
            }
            let found = lake.rows("SELECT count(*) AS n, sum(id) AS s FROM nyc.taps").await;
            prop_assert_eq!(found, [json!({ "n": count.get(), "s": sum.get() })]);
            if set_aside.get() > 0 {
                prop_assert_eq!(lake.count("nyc.taps__quarantine").await, set_aside.get());
            }
            Ok(())
        })
    });
    outcome.unwrap();
}
