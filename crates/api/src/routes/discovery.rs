//! Finding tables, and hearing what happens to them.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::{TimeDelta, Utc};
use futures::stream;
use serde::Deserialize;
use sluice_catalog::SearchQuery;
use sluice_domain::{Action, Caller, Label, NamespaceName, Resource, ZoneName, words};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::{PageParams, Params},
    problem::{Problem, Problems},
    wire::{ChangeEvent, ChangePage, PopularPage, PopularView, SearchView, TableSummary},
};

/// The longest text to look for, in bytes.
const MAX_TEXT_BYTES: usize = 200;
/// How many words are looked for.
const MAX_WORDS: usize = 8;
/// How many days back tables' reads are counted at the most.
const MAX_DAYS: u32 = 366;
/// How often the feed is asked for those who listen.
const FEED_PAUSE: Duration = Duration::from_millis(500);
/// After how long a line goes out that says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    /// Words in names, columns, descriptions, tags and owners; each must be there: whole, as a beginning, or with one
    /// slip of the keys. Without words, every table that the filters let through.
    #[param(max_length = 200, example = "customer orders")]
    q: Option<String>,
    /// Only of this namespace.
    namespace: Option<String>,
    /// Only of this zone: `raw` or `curated`.
    zone: Option<String>,
    /// Only of this owner.
    owner: Option<String>,
    /// Only with this tag, on the table or on a column.
    tag: Option<String>,
    /// Only with this classification, of the table or of a column.
    classification: Option<String>,
    /// How many entries at the most.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

impl SearchParams {
    fn query(&self, caller: &Caller) -> Result<SearchQuery, Problem> {
        let bad = |field: &str, reason: String| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-search", format!("{field}: {reason}"))
        };
        let text = self.q.as_deref().unwrap_or_default();
        let words = words(text);
        if text.len() > MAX_TEXT_BYTES || words.len() > MAX_WORDS || (words.is_empty() && !text.trim().is_empty()) {
            return Err(bad("q", format!("1 to {MAX_WORDS} words, {MAX_TEXT_BYTES} bytes at the most")));
        }
        let label = |field: &str, text: &Option<String>| {
            let label = text.as_ref().map(|text| text.parse::<Label>());
            label.transpose().map_err(|error| bad(field, error.to_string()))
        };
        Ok(SearchQuery {
            words,
            visible: caller.namespaces.clone(),
            namespace: self
                .namespace
                .as_ref()
                .map(|name| name.parse::<NamespaceName>())
                .transpose()
                .map_err(|error| bad("namespace", error.to_string()))?,
            zone: self
                .zone
                .as_ref()
                .map(|zone| zone.parse::<ZoneName>())
                .transpose()
                .map_err(|error| bad("zone", error))?,
            owner: self.owner.clone(),
            tag: label("tag", &self.tag)?,
            classification: label("classification", &self.classification)?,
        })
    }
}

/// Find tables.
#[utoipa::path(get, path = "/api/v1/search", tag = "discovery", params(SearchParams),
    responses((status = 200, description = "The tables that fit, best first", body = SearchView), Problems))]
pub(super) async fn search_tables(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(params): Params<SearchParams>,
) -> Result<Json<SearchView>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let query = params.query(&caller)?;
    let page = PageParams::new(params.page_size, params.page_token).request()?;
    let foreign = || Problem::bad_request("bad-page-token", "the page token is not of this listing");
    let offset = page.token.as_ref().map_or(Ok(0), |token| token.key().parse::<usize>()).map_err(|_| foreign())?;
    let hits = app.catalog.discovery().search(&query).await?;
    let (size, total) = (page.size as usize, hits.len());
    let mut view = SearchView::new(hits, offset, size, |hit| app.location(&hit.table));
    let next = offset.saturating_add(size);
    view.next_page_token = (next < total).then(|| sluice_domain::PageToken::after(next.to_string()).to_string());
    Ok(Json(view))
}

/// Since when, and how many.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PopularParams {
    /// How many days to look back. Default: 30.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u32>,
    /// How many tables at the most. Default: 20.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List the tables that are read most.
#[utoipa::path(get, path = "/api/v1/search/popular", tag = "discovery", params(PopularParams),
    responses((status = 200, description = "The tables, the most read first", body = PopularPage), Problems))]
pub(super) async fn list_popular_tables(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(params): Params<PopularParams>,
) -> Result<Json<PopularPage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let (days, limit) = (params.days.unwrap_or(30), params.limit.unwrap_or(20));
    if !(1..=MAX_DAYS).contains(&days) || !(1..=1000).contains(&limit) {
        return Err(Problem::bad_request("bad-parameter", "days is not in 1 to 366, or limit not in 1 to 1000"));
    }
    let since = Utc::now() - TimeDelta::days(i64::from(days) - 1);
    let tables = app.catalog.discovery().popular(since, caller.namespaces.as_deref(), limit).await?;
    let items = tables.into_iter().map(|(entry, reads)| {
        let location = app.location(&entry);
        PopularView { table: TableSummary::new(entry, location), reads }
    });
    Ok(Json(PopularPage { items: items.collect() }))
}

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangesParams {
    /// `next` of the answer before, or the id of the last event that was seen; without it, what happens from now on.
    /// `0` is everything that is kept.
    #[param(pattern = "^[0-9]{1,18}$")]
    since: Option<String>,
    /// How many events at the most. Default: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Tell what happened in the catalog: at once, or as server-sent events where these are accepted.
///
/// Each event is a CloudEvent. With `Accept: text/event-stream` the answer goes on with what happens; `Last-Event-ID` is
/// taken for `since`. Events are kept for 30 days: 410 where some that were asked for are not there any more.
#[utoipa::path(get, path = "/api/v1/changes", tag = "discovery", params(ChangesParams),
    responses((status = 200, description = "The events", content(
            (ChangePage = "application/json"), (ChangeEvent = "text/event-stream"))), Problems))]
pub(super) async fn list_changes(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    Params(params): Params<ChangesParams>,
) -> Result<Response, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let limit = params.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(Problem::bad_request("bad-parameter", "limit is not between 1 and 1000"));
    }
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let since = begin(&app, params.since.or(last)).await?;
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/event-stream") {
        return listen(app, caller, since);
    }
    let (changes, next) = app.catalog.changes().since(since, caller.namespaces.as_deref(), limit).await?;
    Ok(Json(ChangePage { items: changes.into_iter().map(Into::into).collect(), next: next.to_string() })
        .into_response())
}

/// The number to begin after.
pub(super) async fn begin(app: &App, since: Option<String>) -> Result<i64, Problem> {
    let (oldest, newest) = app.catalog.changes().range().await?;
    let Some(text) = since else { return Ok(newest) };
    let number: i64 = text.parse().ok().filter(|number| *number >= 0).ok_or_else(|| {
        Problem::bad_request("bad-parameter", "since is not a number that an answer or an event gave")
    })?;
    if number > 0 && number + 1 < oldest {
        let detail = format!("events up to {} are not kept any more: begin with since=0", oldest - 1);
        return Err(Problem::new(StatusCode::GONE, "events-gone", detail));
    }
    Ok(number)
}

/// One that listens.
struct Listener {
    app: App,
    caller: Caller,
    since: i64,
    waiting: std::vec::IntoIter<sluice_domain::CatalogChange>,
    _place: OwnedSemaphorePermit,
}

fn listen(app: App, caller: Caller, since: i64) -> Result<Response, Problem> {
    let place = std::sync::Arc::clone(&app.listeners).try_acquire_owned().map_err(|_| {
        let detail = "as many clients as may wait for events do; try again later, or ask without waiting";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-listeners", detail)
    })?;
    let listener = Listener { app, caller, since, waiting: Vec::new().into_iter(), _place: place };
    let events = stream::unfold(listener, |mut listener| async move {
        let event: Result<Event, Infallible> = Ok(listener.next().await?);
        Some((event, listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

impl Listener {
    /// The next event; none where the server stops, or the catalog fails: whoever listens asks again.
    async fn next(&mut self) -> Option<Event> {
        let readiness = self.app.readiness.clone();
        tokio::select! {
            biased;
            event = self.next_event() => event,
            () = readiness.withdrawn() => None,
        }
    }

    async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(change) = self.waiting.next() {
                let event = ChangeEvent::from(change.clone());
                return Event::default()
                    .id(change.number.to_string())
                    .event(change.kind.as_str())
                    .json_data(event)
                    .ok();
            }
            let changes = self.app.catalog.changes();
            let (found, next) = changes.since(self.since, self.caller.namespaces.as_deref(), 100).await.ok()?;
            let is_over = found.is_empty();
            (self.waiting, self.since) = (found.into_iter(), next);
            if is_over {
                tokio::time::sleep(FEED_PAUSE).await;
            }
        }
    }
}
