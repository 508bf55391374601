//! WebRTC for browsers and players that know WHEP: an offer is posted, the answer comes back.

use super::App;
use super::api::{apart, path_of};
use super::ask::{Named, Sdp};
use super::fail::{ErrorBody, Fail};
use crate::publish::View;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::IntoResponse;
use std::sync::Arc;

/// Begins to send the masked stream to a browser (WHEP). `Location` is the session, which `DELETE` ends.
#[utoipa::path(post, path = "/api/v1/streams/{name}/whep", tag = "pictures", params(("name" = String, Path)),
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, description = "the answer", body = String, content_type = "application/sdp"), (status = 404, body = ErrorBody),
        (status = 422, description = "the offer cannot be answered", body = ErrorBody),
        (status = 503, description = "there are too many sessions", body = ErrorBody)))]
pub(super) async fn begin(State(app): State<Arc<App>>, Named(stream): Named, Sdp(offer): Sdp) -> Result<impl IntoResponse, Fail> {
    let path = path_of(stream.name());
    let answer = apart(move || app.host.webrtc().whep(&offer, stream.coders().of(View::Masked))).await?;
    let headers = [
        (LOCATION, format!("{path}/whep/{}", answer.session)),
        (CONTENT_TYPE, "application/sdp".to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, answer.sdp))
}

/// Ends a session.
#[utoipa::path(delete, path = "/api/v1/streams/{name}/whep/{session}", tag = "pictures",
    params(("name" = String, Path), ("session" = String, Path)),
    responses((status = 204, description = "it is over"), (status = 404, body = ErrorBody)))]
pub(super) async fn end(
    State(app): State<Arc<App>>,
    Named(_): Named,
    Path((_, session)): Path<(String, String)>,
) -> Result<StatusCode, Fail> {
    match app.host.webrtc().end(&session) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Fail::missing(format!("there is no session {session:?}: it has ended"))),
    }
}
