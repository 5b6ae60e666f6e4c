//! The operations of uploads that do not come by one request.

use axum::http::Method;
use sluice_domain::Action;
use sluice_tests::TestLake;

use super::{Access, Bad, Content, Row, bad, get};

const TUS: &str = "/api/v1/tus";
const TUS_UPLOAD: &str = "/api/v1/tus/{upload_id}";
const VERSION: (&str, &str) = ("tus-resumable", "1.0.0");
const PIECE: (&str, &str) = ("content-type", "application/offset+octet-stream");
/// `nyc.flights`, and a file of five bytes.
const NEW: [(&str, &str); 3] =
    [VERSION, ("upload-length", "5"), ("upload-metadata", "table bnljLmZsaWdodHM=,filetype dGV4dC9jc3Y=")];

/// An upload whose bytes are still to come.
pub(super) async fn announce(lake: &TestLake, caller: &str) -> String {
    let call = NEW.iter().fold(lake.call(Method::POST, TUS), |call, (name, value)| call.header(name, value));
    let answer = call.key(caller).send().await;
    answer.expect_status(201);
    answer.header("location").unwrap().strip_prefix("/api/v1/tus/").unwrap().to_owned()
}

pub(super) fn reads() -> Vec<Row> {
    let read = Access::Hidden(Action::Read);
    let (events, wrong) = ("/api/v1/uploads/{upload_id}/events", "/api/v1/uploads/7/events");
    vec![
        get(events, read, events, wrong, "illegal-id"),
        Row {
            method: Method::OPTIONS,
            path: TUS,
            access: Access::Anyone,
            call: TUS,
            content: Content::Nothing,
            status: 204,
            bad: bad(Method::PUT, TUS, Content::Nothing, 405, "method-not-allowed"),
        },
        Row {
            method: Method::HEAD,
            path: TUS_UPLOAD,
            access: Access::Hidden(Action::Append),
            call: TUS_UPLOAD,
            content: Content::Piece(&[VERSION]),
            status: 200,
            bad: bad(Method::HEAD, "/api/v1/tus/7", Content::Piece(&[VERSION]), 400, "illegal-id"),
        },
    ]
}

fn write((method, path): (Method, &'static str), call: &'static str, content: Content, status: u16, bad: Bad) -> Row {
    Row { method, path, access: Access::Hidden(Action::Append), call, content, status, bad }
}

pub(super) fn writes() -> Vec<Row> {
    let (direct, complete) =
        ("/api/v1/tables/{namespace}/{table}/uploads/presigned", "/api/v1/uploads/{upload_id}/complete");
    let direct_call = "/api/v1/tables/nyc/flights/uploads/presigned?format=csv";
    let (post, patch) = (Method::POST, Method::PATCH);
    vec![
        write(
            (post.clone(), TUS),
            TUS,
            Content::Piece(&NEW),
            201,
            bad(post.clone(), TUS, Content::Piece(&[VERSION, NEW[2]]), 400, "bad-header"),
        ),
        write(
            (patch.clone(), TUS_UPLOAD),
            TUS_UPLOAD,
            Content::Piece(&[VERSION, PIECE, ("upload-offset", "9")]),
            204,
            bad(patch, TUS_UPLOAD, Content::Piece(&[VERSION, PIECE, ("upload-offset", "x")]), 400, "bad-header"),
        ),
        write(
            (Method::DELETE, TUS_UPLOAD),
            "/api/v1/tus/{partial_id}",
            Content::Piece(&[VERSION]),
            204,
            bad(Method::DELETE, TUS_UPLOAD, Content::Piece(&[VERSION]), 409, "upload-landed"),
        ),
        // On folders of this machine nothing can be signed for; the clients' tests do it on S3.
        write(
            (post.clone(), direct),
            direct_call,
            Content::Json(r#"{"size_bytes": 5}"#),
            409,
            bad(post.clone(), direct_call, Content::Json(r#"{"size_bytes": -5}"#), 422, "bad-body"),
        ),
        write(
            (post.clone(), complete),
            complete,
            Content::Nothing,
            201,
            bad(post, "/api/v1/uploads/7/complete", Content::Nothing, 400, "illegal-id"),
        ),
    ]
}
