//! Random merges, one after the other, against rows in memory.

use std::collections::BTreeMap;

use sluice_table::{DeleteMarker, Keep, Matched, MergeRule, RowChanges};

use crate::lake::{Lake, Row, batch, row};

type Rows = BTreeMap<i64, Row>;

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

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn rule(&mut self) -> MergeRule {
        let marker = DeleteMarker { column: "p".to_owned(), stored: true };
        MergeRule {
            order_by: self.pick(&[true, false]).then(|| "v".to_owned()),
            delete_when: self.pick(&[true, false]).then_some(marker),
            keep: self.pick(&[Keep::First, Keep::Last, Keep::None]),
            matched: self.pick(&[Matched::Update, Matched::Update, Matched::Keep, Matched::Delete]),
            insert: self.pick(&[true, true, false]),
            ..MergeRule::upsert(&["k"])
        }
    }

    fn rows(&mut self) -> Vec<Row> {
        let count = self.below(40);
        (0..count)
            .map(|_| row(self.below(60) as i64, self.pick(&["a", "b", "D", "delete"]), self.below(12) as i64))
            .collect()
    }
}

/// Which row of several with one key counts, in the plainest words.
fn winner<'r>(rule: &MergeRule, rows: &[&'r Row]) -> Option<&'r Row> {
    if rule.keep == Keep::None && rows.len() > 1 {
        return None;
    }
    let greatest = rows.iter().filter_map(|row| row.2).max();
    let mut newest = rows.iter().filter(|row| rule.order_by.is_none() || row.2 == greatest);
    if rule.keep == Keep::Last { newest.next_back().copied() } else { newest.next().copied() }
}

fn apply(model: &mut Rows, rule: &MergeRule, source: &[Row]) -> RowChanges {
    let mut by_key: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    source.iter().for_each(|row| by_key.entry(row.0.unwrap()).or_default().push(row));
    let mut changes = RowChanges::default();
    for (key, rows) in by_key {
        let found = winner(rule, &rows);
        changes.deduplicated += rows.len() as u64 - u64::from(found.is_some());
        let Some(new) = found else { continue };
        let deletes = rule.delete_when.is_some() && ["D", "delete"].contains(&new.1.as_deref().unwrap());
        match model.get(&key) {
            None if deletes || !rule.insert => changes.rejected += 1,
            None => {
                changes.inserted += 1;
                model.insert(key, new.clone());
            }
            Some(old) if rule.order_by.is_some() && new.2 < old.2 => changes.deduplicated += 1,
            Some(_) if deletes || rule.matched == Matched::Delete => {
                changes.deleted += 1;
                model.remove(&key);
            }
            Some(_) if rule.matched == Matched::Keep => changes.deduplicated += 1,
            Some(_) => {
                changes.updated += 1;
                model.insert(key, new.clone());
            }
        }
    }
    changes
}

#[tokio::test]
async fn random_merges_leave_what_a_model_says() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let first: Vec<Row> = (0..20).map(|key| row(key * 2, "a", random.below(12) as i64)).collect();
        let (lake, table) = Lake::with_rows(&[&first[..9], &first[9..]]).await;
        let mut model: Rows = first.into_iter().map(|row| (row.0.unwrap(), row)).collect();
        for step in 0..15 {
            let (rule, source) = (random.rule(), random.rows());
            let slices: Vec<_> = source.chunks(7).map(batch).collect();
            let slices = if slices.is_empty() { vec![batch(&[])] } else { slices };
            let operation = lake.merge(rule.clone(), &slices).unwrap();
            let applied = lake.apply(&table, &operation).await.unwrap();
            let expected = apply(&mut model, &rule, &source);
            let place = format!("seed {seed}, step {step}: {rule:?} of {source:?}");
            assert_eq!(RowChanges { copied: 0, ..applied.rows }, expected, "{place}");
            let counts = [expected.inserted, expected.updated, expected.deleted, expected.deduplicated];
            assert_eq!(counts.iter().sum::<u64>() + expected.rejected, source.len() as u64, "{place}");
            let mut rows: Vec<Row> = model.values().cloned().collect();
            rows.sort();
            assert_eq!(lake.rows().await, rows, "{place}");
        }
    }
}
