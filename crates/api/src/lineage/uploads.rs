//! The flows that the ledger of uploads tells of: from the object in the raw zone into a version of its table.

use serde_json::{Map, Value, json};
use sluice_domain::{
    PageRequest, TableEntry, UploadEntry, ZoneName,
    lineage::{Dataset, Flow, FlowId, FlowOrigin},
};

use crate::{App, problem::Problem};

/// How many uploads of a table are looked at, from the newest.
pub(crate) const MAX_UPLOADS: u32 = 100;

/// The newest uploads into a table up to this version, oldest first, and whether there may be more.
pub(crate) async fn upload_flows(
    app: &App,
    entry: &TableEntry,
    version: Option<u64>,
) -> Result<(Vec<Flow>, bool), Problem> {
    let request = PageRequest { size: MAX_UPLOADS, token: None };
    let page = app.catalog.uploads().list(&entry.name, &request).await?;
    let uploads = page.items.into_iter().filter(|upload| upload.table_id == Some(entry.id));
    let mut flows: Vec<Flow> = uploads.filter_map(|upload| flow(app, upload)).collect();
    flows.retain(|flow| version.is_none_or(|version| flow.target_version <= Some(version)));
    flows.reverse();
    Ok((flows, page.next.is_some()))
}

/// The flow of an upload; none before it is committed.
fn flow(app: &App, upload: UploadEntry) -> Option<Flow> {
    let (version, committed_at) = (upload.version?, upload.committed_at?);
    let url = app.zones.get(ZoneName::Raw).url_of(&upload.landed.raw_path);
    let object = Dataset::at_url(url.as_str()).or_else(|_| Dataset::new("raw", &upload.landed.raw_path));
    Some(Flow {
        id: FlowId(upload.id.0),
        source: object.ok()?,
        target: Dataset::of_table(&upload.table),
        transformation: "upload".into(),
        origin: FlowOrigin::Upload,
        run: None,
        source_version: None,
        target_version: Some(version),
        metadata: metadata(&upload),
        principal: upload.principal,
        occurred_at: committed_at,
    })
}

fn metadata(upload: &UploadEntry) -> Map<String, Value> {
    let rows = upload.rows.unwrap_or_default();
    let milliseconds = upload.committed_at.map(|at| (at - upload.started_at).num_milliseconds());
    let told = json!({
        "sha256": upload.landed.sha256,
        "size_bytes": upload.landed.size_bytes,
        "format": upload.options.format.as_str(),
        "file_name": upload.file_name,
        "client": upload.principal,
        "upload_id": upload.id.to_string(),
        "rows_quarantined": rows.quarantined,
        "technical": {"pipeline_id": upload.id.to_string(), "source_system": upload.principal},
        "operational": {
            "processing_time": milliseconds,
            "quality_score": quality_score(rows.committed + rows.deduplicated, rows.received()),
            "record_count": rows.committed,
        },
    });
    told.as_object().cloned().unwrap_or_default()
}

/// The share of good rows, in percent; all of none are good.
#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than a double has")]
fn quality_score(valid: u64, total: u64) -> f64 {
    if total == 0 { 100.0 } else { valid as f64 / total as f64 * 100.0 }
}
