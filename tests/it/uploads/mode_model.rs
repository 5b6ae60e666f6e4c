//! Random uploads in every mode, against rows in memory, keyed by their id.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use sluice_tests::TestLake;

use super::modes::assert_adds_up;

const PARTITIONS: [&str; 3] = ["x", "y z", "50%"];

/// A row: partition and value.
type Model = BTreeMap<u64, (&'static str, u64)>;

/// Numbers that are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Rows with different ids; those that are to delete are marked.
    fn rows(&mut self) -> BTreeMap<u64, (&'static str, u64, bool)> {
        let count = 1 + self.below(12);
        let row = |random: &mut Self| {
            let partition = PARTITIONS[random.below(3) as usize];
            (random.below(40), (partition, random.below(9), random.below(4) == 0))
        };
        (0..count).map(|_| row(self)).collect()
    }
}

/// The mode's parameters, and what it does to the model; how many rows take effect.
fn apply(model: &mut Model, mode: u64, rows: &BTreeMap<u64, (&'static str, u64, bool)>) -> (&'static str, usize) {
    let plain = || rows.iter().map(|(id, (partition, value, _))| (*id, (*partition, *value)));
    let known = rows.keys().filter(|id| model.contains_key(id)).count();
    match mode {
        0 => {
            let added: Vec<_> = plain().filter(|(id, _)| !model.contains_key(id)).collect();
            model.extend(added);
            ("dedup_keys=id", rows.len() - known)
        }
        1 => {
            *model = plain().collect();
            ("mode=overwrite", rows.len())
        }
        2 => {
            model.retain(|_, (partition, _)| !rows.values().any(|row| row.0 == *partition));
            model.extend(plain());
            ("mode=overwrite_partitions", rows.len())
        }
        3 => {
            let applied = plain().filter(|(id, row)| model.get(id).is_none_or(|old| row.1 >= old.1));
            let applied: Vec<_> = applied.collect();
            let count = applied.len();
            model.extend(applied);
            ("mode=merge&merge_keys=id&order_by=v", count)
        }
        4 => {
            let applied = plain().filter(|(id, _)| model.contains_key(id)).collect::<Vec<_>>();
            model.extend(applied);
            ("mode=merge&merge_keys=id&merge_not_matched=ignore", known)
        }
        _ => {
            let mut count = 0;
            for (id, (partition, value, gone)) in rows {
                count += usize::from(!gone || model.contains_key(id));
                if *gone {
                    model.remove(id);
                } else {
                    model.insert(*id, (*partition, *value));
                }
            }
            ("mode=merge&merge_keys=id&delete_when=gone", count)
        }
    }
}

#[tokio::test]
async fn random_uploads_in_every_mode_leave_what_a_model_says() {
    for seed in 0..2 {
        let (lake, mut random, mut model) = (TestLake::open().await, Random(seed), Model::new());
        lake.upload("a.t", "?format=csv&partition_by=p", "id,p,v\n100,x,1\n").await.expect_status(201);
        model.insert(100, ("x", 1));
        for step in 0..25 {
            let (mode, mut rows) = (random.below(6), random.rows());
            if mode == 2 {
                // So that no id is in two partitions.
                rows.retain(|id, row| model.get(id).is_none_or(|old| old.0 == row.0));
                if rows.is_empty() {
                    continue;
                }
            }
            let (query, committed) = apply(&mut model, mode, &rows);
            let marked = query.contains("gone");
            let mut body = if marked { "id,p,v,gone\n" } else { "id,p,v\n" }.to_owned();
            for (id, (partition, value, gone)) in &rows {
                let gone = if marked { format!(",{gone}") } else { String::new() };
                writeln!(body, "{id},{partition},{value}{gone}").unwrap();
            }
            let receipt = lake.upload("a.t", &format!("?format=csv&{query}"), body.clone()).await.expect(201);
            assert_adds_up(&receipt);
            let place = format!("seed {seed}, step {step}: {query} of\n{body}");
            let received = (receipt["rows_received"].as_u64(), receipt["rows_committed"].as_u64());
            assert_eq!(received, (Some(rows.len() as u64), Some(committed as u64)), "{place}");
            let expected: Vec<Value> = model.iter().map(|(id, (p, v))| json!({"id": id, "p": p, "v": v})).collect();
            assert_eq!(lake.rows("SELECT id, p, v FROM a.t ORDER BY id").await, expected, "{place}");
        }
    }
}
