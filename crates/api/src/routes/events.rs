//! How an upload comes on, told as it does: server-sent events.
//!
//! Invariant: a listener hears the outcome once, as the last event, and nothing keeps a server that stops from stopping.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use sluice_domain::{Progress, UploadId};
use sluice_ingest::{Announced, ResumableError};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::{
    App,
    auth::Authenticated,
    extract::UploadPath,
    problem::{Problem, Problems},
    routes::uploads::{find_announced, view_of},
    wire::{ProgressView, UploadEvent},
};

/// The least time between two events.
const LEAST_PAUSE: Duration = Duration::from_millis(250);
/// How often the ledger is asked about an upload that this server does not work on.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);
/// After how long a line goes out that says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One that listens.
struct Listener {
    app: App,
    id: UploadId,
    told: Option<ProgressView>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// Tell how an upload comes on, as server-sent events.
///
/// An event `progress` comes at each change, a few a second at the most; its data is the upload's `progress`. The last event is
/// `committed` or `failed`, with the whole upload, or `gone` where the upload was ended or given up.
#[utoipa::path(get, path = "/api/v1/uploads/{upload_id}/events", tag = "ingest",
    params(("upload_id" = uuid::Uuid, Path, description = "The upload")),
    responses((status = 200, description = "The events", body = UploadEvent, content_type = "text/event-stream"), Problems))]
pub(super) async fn watch_upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    UploadPath(id): UploadPath,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    find_announced(&app, &caller, id).await?;
    let place = std::sync::Arc::clone(&app.listeners).try_acquire_owned().map_err(|_| {
        let detail = "as many clients as may wait for events do; try again later, or ask for the upload itself";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-listeners", detail)
    })?;
    let listener = Listener { app, id, told: None, is_over: false, _place: place };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Listener {
    /// The next event; none once the last one was told, and where the server stops.
    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        let readiness = self.app.readiness.clone();
        tokio::select! {
            biased;
            event = self.next_change() => event,
            () = readiness.withdrawn() => None,
        }
    }

    async fn next_change(&mut self) -> Option<Event> {
        loop {
            if self.told.is_some() {
                self.pause().await;
            }
            if let Some(shown) = self.app.ingest.progress().find(self.id) {
                if let Some(event) = self.changed(shown) {
                    return Some(event);
                }
                continue;
            }
            match self.app.ingest.find_announced(self.id).await {
                Ok(found) => {
                    if let Some(event) = self.found(found) {
                        return Some(event);
                    }
                }
                Err(ResumableError::NotFound { .. }) => return self.last("gone", &serde_json::json!({})),
                // Whoever listens asks again.
                Err(_) => return None,
            }
        }
    }

    fn found(&mut self, found: Announced) -> Option<Event> {
        let progress = match &found {
            Announced::Partial(partial) => Progress::from(&**partial),
            Announced::Landed(entry) => Progress::from(&**entry),
        };
        if !progress.phase.is_last() {
            return self.changed(progress);
        }
        let view = view_of(&self.app, found);
        self.last(progress.phase.as_str(), &view)
    }

    fn changed(&mut self, progress: Progress) -> Option<Event> {
        let view = Some(ProgressView::from(progress));
        if self.told == view {
            return None;
        }
        self.told = view;
        Event::default().event("progress").json_data(&self.told).ok()
    }

    fn last(&mut self, name: &str, data: &impl serde::Serialize) -> Option<Event> {
        self.is_over = true;
        Event::default().event(name).json_data(data).ok()
    }

    /// Wait until there may be something new, and for a little while at least.
    async fn pause(&self) {
        let Some(mut shown) = self.app.ingest.progress().watch(self.id) else {
            return tokio::time::sleep(LEDGER_PAUSE).await;
        };
        tokio::time::sleep(LEAST_PAUSE).await;
        wait_for_change(&mut shown, self.told.as_ref()).await;
    }
}

/// Wait until there is something else to tell, or nobody works on the upload any more.
async fn wait_for_change(shown: &mut watch::Receiver<Progress>, told: Option<&ProgressView>) {
    // Nothing is told where the sender is gone, and the ledger knows more then.
    let _ = shown.wait_for(|progress| told != Some(&ProgressView::from(*progress))).await;
}
