//! What people say of tables and columns, on the wire.

use axum::http::StatusCode;
use serde::{Deserialize, Deserializer};
use sluice_catalog::TableChange;
use sluice_domain::{Label, LabelError, MAX_TAGS, NotesChange};
use utoipa::ToSchema;

use crate::problem::Problem;

/// The longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 10_000;
/// The longest name of an owner, in bytes.
const MAX_OWNER_BYTES: usize = 200;

/// What to change about a table. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableChangeBody {
    /// What the table is; `null` takes the description away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 10000)]
    description: Option<Option<String>>,
    /// Whose it is.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    owner: Option<String>,
    /// Words to find it by, in the place of those that it has.
    #[serde(default)]
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// How its values are to be treated: `pii`, `confidential`, `public`, or a word of one's own; `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    classification: Option<Option<String>>,
}

/// What to say of a column. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnChangeBody {
    /// What it is; `null` takes the description away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 10000)]
    description: Option<Option<String>>,
    /// Words to find it by, in the place of those that it has.
    #[serde(default)]
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// How its values are to be treated; `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    classification: Option<Option<String>>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl TableChangeBody {
    /// What it changes, every label read.
    pub(crate) fn change(self) -> Result<TableChange, Problem> {
        let description = described(self.description)?;
        if self.owner.as_ref().is_some_and(|owner| !is_text(owner, MAX_OWNER_BYTES) || owner.trim().is_empty()) {
            let detail = format!("owner: it is empty, longer than {MAX_OWNER_BYTES} bytes, or holds a NUL");
            return Err(unprocessable("bad-owner", detail));
        }
        let notes = labels(self.tags, self.classification)?;
        Ok(TableChange { description, owner: self.owner, notes })
    }
}

impl ColumnChangeBody {
    /// What it changes, every label read.
    pub(crate) fn change(self) -> Result<NotesChange, Problem> {
        let description = described(self.description)?;
        Ok(NotesChange { description, ..labels(self.tags, self.classification)? })
    }
}

fn described(description: Option<Option<String>>) -> Result<Option<Option<String>>, Problem> {
    if description.iter().flatten().all(|text| is_text(text, MAX_DESCRIPTION_BYTES)) {
        return Ok(description);
    }
    let detail = format!("description: it is longer than {MAX_DESCRIPTION_BYTES} bytes or holds a NUL");
    Err(unprocessable("bad-description", detail))
}

fn is_text(text: &str, limit: usize) -> bool {
    text.len() <= limit && !text.contains('\0')
}

fn labels(tags: Option<Vec<String>>, classification: Option<Option<String>>) -> Result<NotesChange, Problem> {
    let bad = |field: &str, error: LabelError| unprocessable("bad-label", format!("{field}: {error}"));
    if tags.as_ref().is_some_and(|tags| tags.len() > MAX_TAGS) {
        return Err(unprocessable("bad-label", format!("tags: there are more than {MAX_TAGS}")));
    }
    let tags: Option<Vec<Label>> = tags
        .map(|tags| tags.into_iter().map(|tag| tag.try_into().map_err(|error| bad("tags", error))).collect())
        .transpose()?;
    let classification = classification
        .map(|label| label.map(|label| label.try_into().map_err(|error| bad("classification", error))).transpose())
        .transpose()?;
    Ok(NotesChange { description: None, tags, classification })
}

fn unprocessable(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}
