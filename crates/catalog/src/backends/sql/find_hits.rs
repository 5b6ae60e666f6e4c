//! The search itself: from words to tables.
//!
//! Invariant: what it reads is bounded by the number of hits and of words, not by the number of tables.

use std::collections::{BTreeSet, HashMap};

use sluice_domain::{Label, SearchHit, TableId, TableNotes, TableRef, is_slip, slips};
use sqlx::AnyConnection;

use super::{annotations, assembled::Assembled, inheritance, push_visible};
use crate::{
    CatalogError, MAX_HITS, SearchQuery,
    columns::read,
    discovery_rows::{FoundRow, NotesRow},
};

/// How many words that begin with an asked one are looked for, the most used first.
const MAX_BEGINNINGS: i64 = 20;
/// How many words that differ by a slip are looked for.
const MAX_SLIPS: usize = 10;
/// What a word counts that is the asked one, of a hundred; that begins with it; that differs by a slip.
const EXACT: i64 = 100;
const BEGINNING: i64 = 70;
const SLIP: i64 = 40;

/// The words of the catalog that an asked word stands for, with what they count.
type Meant = Vec<(String, i64)>;

pub(super) async fn search(
    connection: &mut AnyConnection,
    query: &SearchQuery,
) -> Result<Vec<SearchHit>, CatalogError> {
    let mut asked = Vec::with_capacity(query.words.len());
    for word in &query.words {
        let (meant, uses) = meant(connection, word).await?;
        if meant.is_empty() {
            return Ok(Vec::new());
        }
        asked.push((uses, meant));
    }
    // The word that the fewest tables have leads; the others are looked up for what it finds.
    asked.sort_by_key(|(uses, _)| *uses);
    let mut words = asked.into_iter().map(|(_, meant)| meant);
    let lead = words.next();
    let others: Vec<Meant> = words.collect();
    let heirs = match &query.classification {
        Some(classification) => inheritance::heirs(connection, classification).await?,
        None => BTreeSet::new(),
    };
    let mut hits = find(connection, (query, &heirs), lead.as_ref(), &others).await?;
    weigh(connection, &others, &mut hits).await?;
    add_notes(connection, &mut hits).await?;
    hits.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.table.name.cmp(&b.table.name)));
    Ok(hits)
}

/// What a word may mean, and how many tables have one of its meanings.
async fn meant(connection: &mut AnyConnection, word: &str) -> Result<(Meant, i64), CatalogError> {
    let after = format!("{word}\u{10ffff}");
    let mut found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT word, uses FROM search_words WHERE word >= $1 AND word <= $2 AND uses > 0 \
         ORDER BY CASE WHEN word = $1 THEN 0 ELSE 1 END, uses DESC, word LIMIT $3",
    )
    .bind(word)
    .bind(after)
    .bind(MAX_BEGINNINGS)
    .fetch_all(&mut *connection)
    .await?;
    let is_near = found.is_empty();
    if is_near {
        found = near(connection, word).await?;
    }
    let uses = found.iter().map(|(_, uses)| uses).sum();
    let weighed = found.into_iter().map(|(known, _)| {
        let factor = if is_near {
            SLIP
        } else if known == word {
            EXACT
        } else {
            BEGINNING
        };
        (known, factor)
    });
    Ok((weighed.collect(), uses))
}

/// The words that differ from this one by a slip, the most used first.
async fn near(connection: &mut AnyConnection, word: &str) -> Result<Vec<(String, i64)>, CatalogError> {
    let slips = slips(word);
    if slips.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Assembled::new(
        "SELECT DISTINCT w.word, w.uses FROM search_slips s JOIN search_words w ON w.word = s.word \
         WHERE w.uses > 0 AND s.slip IN (",
    );
    query.push_list(slips).push(") ORDER BY w.uses DESC, w.word LIMIT 200");
    let found: Vec<(String, i64)> = query.build_query_as().fetch_all(connection).await?;
    Ok(found.into_iter().filter(|(known, _)| is_slip(known, word)).take(MAX_SLIPS).collect())
}

async fn find(
    connection: &mut AnyConnection,
    (query, heirs): (&SearchQuery, &BTreeSet<TableRef>),
    lead: Option<&Meant>,
    others: &[Meant],
) -> Result<Vec<SearchHit>, CatalogError> {
    let mut hits: HashMap<TableId, SearchHit> = HashMap::new();
    let everything = [(String::new(), EXACT)];
    for (word, factor) in lead.map_or(&everything[..], Vec::as_slice) {
        if hits.len() >= MAX_HITS {
            break;
        }
        let mut select = if lead.is_some() {
            let mut select = Assembled::new(
                "SELECT t.*, p.weight, p.places FROM search_postings p JOIN tables t ON t.id = p.table_id \
                 WHERE t.state = 'active' AND p.word = ",
            );
            select.push_bind(word.as_str());
            select
        } else {
            Assembled::new(
                "SELECT t.*, CAST(0 AS BIGINT) AS weight, CAST(0 AS BIGINT) AS places FROM tables t \
                 WHERE t.state = 'active'",
            )
        };
        for other in others {
            select.push(" AND EXISTS (SELECT 1 FROM search_postings o WHERE o.table_id = t.id AND o.word IN (");
            select.push_list(other.iter().map(|(word, _)| word)).push("))");
        }
        narrow(&mut select, query, heirs);
        select.push(if lead.is_some() {
            " ORDER BY p.weight DESC, p.table_id DESC LIMIT "
        } else {
            " ORDER BY t.name LIMIT "
        });
        select.push_bind(MAX_HITS as i64);
        for row in select.build_query_as::<FoundRow>().fetch_all(&mut *connection).await? {
            let (score, places) = (row.weight * factor, row.places);
            let table: sluice_domain::TableEntry = row.table.try_into()?;
            let hit = hits.entry(table.id).or_insert(SearchHit { table, notes: TableNotes::default(), score, places });
            hit.places |= places;
            hit.score = hit.score.max(score);
        }
    }
    let mut hits: Vec<SearchHit> = hits.into_values().collect();
    hits.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.table.name.cmp(&b.table.name)));
    hits.truncate(MAX_HITS);
    Ok(hits)
}

fn narrow(select: &mut Assembled, query: &SearchQuery, heirs: &BTreeSet<TableRef>) {
    push_visible(select, "t.namespace", query.visible.as_deref());
    if let Some(namespace) = &query.namespace {
        select.push(" AND t.namespace = ").push_bind(namespace.as_str());
    }
    if let Some(zone) = query.zone {
        select.push(" AND t.zone = ").push_bind(zone.as_str());
    }
    if let Some(owner) = &query.owner {
        select.push(" AND t.owner = ").push_bind(owner);
    }
    if let Some(tag) = &query.tag {
        select.push(" AND EXISTS (SELECT 1 FROM annotations n WHERE n.table_id = t.id AND n.tags LIKE ");
        select.push_bind(within_json(tag)).push(" ESCAPE '!')");
    }
    if let Some(classification) = &query.classification {
        select.push(" AND (EXISTS (SELECT 1 FROM annotations n WHERE n.table_id = t.id AND n.classification = ");
        select.push_bind(classification.as_str()).push(") OR t.name IN (");
        select.push_list(heirs.iter().map(ToString::to_string)).push("))");
    }
}

/// The pattern of a list in JSON that holds the label. Labels have nothing in them that JSON writes otherwise.
fn within_json(label: &Label) -> String {
    format!("%\"{}\"%", label.as_str().replace('_', "!_"))
}

/// Add what the other words count.
async fn weigh(connection: &mut AnyConnection, others: &[Meant], hits: &mut [SearchHit]) -> Result<(), CatalogError> {
    let factors: HashMap<&str, i64> = others.iter().flatten().map(|(word, factor)| (word.as_str(), *factor)).collect();
    if factors.is_empty() || hits.is_empty() {
        return Ok(());
    }
    let mut query = Assembled::new("SELECT table_id, word, weight, places FROM search_postings WHERE word IN (");
    query.push_list(factors.keys().copied()).push(") AND table_id IN (");
    query.push_list(hits.iter().map(|hit| hit.table.id.to_string())).push(")");
    let rows: Vec<(String, String, i64, i64)> = query.build_query_as().fetch_all(connection).await?;
    let mut found: HashMap<TableId, (i64, i64)> = HashMap::new();
    for (table, word, weight, places) in rows {
        let entry = found.entry(TableId(read("table id", &table)?)).or_default();
        entry.0 += weight * factors.get(word.as_str()).copied().unwrap_or_default();
        entry.1 |= places;
    }
    for hit in hits {
        let (score, places) = found.get(&hit.table.id).copied().unwrap_or_default();
        hit.score += score;
        hit.places |= places;
    }
    Ok(())
}

async fn add_notes(connection: &mut AnyConnection, hits: &mut [SearchHit]) -> Result<(), CatalogError> {
    if hits.is_empty() {
        return Ok(());
    }
    let mut query = Assembled::new("SELECT * FROM annotations WHERE table_id IN (");
    query.push_list(hits.iter().map(|hit| hit.table.id.to_string())).push(")");
    let rows: Vec<NotesRow> = query.build_query_as().fetch_all(&mut *connection).await?;
    let mut notes: HashMap<TableId, TableNotes> = HashMap::new();
    for row in rows {
        let table = TableId(read("table id", &row.table_id)?);
        annotations::add(notes.entry(table).or_default(), row)?;
    }
    for hit in hits.iter_mut() {
        hit.notes = notes.remove(&hit.table.id).unwrap_or_default();
    }
    let mut tables: Vec<_> = hits.iter_mut().map(|hit| (hit.table.name.clone(), &mut hit.notes)).collect();
    inheritance::add(connection, &mut tables).await
}
