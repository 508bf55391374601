//! What was recorded of a stream, in parts as players ask for them.

use super::api::apart;
use super::ask::Named;
use super::fail::{ErrorBody, Fail};
use crate::publish::{Recorded, recorded};
use crate::serve::Stream;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::Response;
use serde::Serialize;
use std::cmp::Reverse;
use tower_http::services::ServeFile;
use utoipa::ToSchema;

/// One finished recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct RecordingView {
    /// Name of the file.
    file: String,
    bytes: u64,
    /// When it begins, in milliseconds since 1970, UTC.
    start_ms: Option<u64>,
}

impl From<Recorded> for RecordingView {
    fn from(recorded: Recorded) -> Self {
        Self {
            file: recorded.name,
            bytes: recorded.bytes,
            start_ms: recorded.start_s.map(|s| 1000 * s),
        }
    }
}

/// The finished recordings of a stream, newest first.
#[utoipa::path(get, path = "/api/v1/streams/{name}/recordings", tag = "recordings", params(("name" = String, Path)),
    responses((status = 200, body = Vec<RecordingView>), (status = 404, body = ErrorBody)))]
pub(super) async fn list(Named(stream): Named) -> Result<Json<Vec<RecordingView>>, Fail> {
    let found = apart(move || Ok(found(&stream))).await?;
    Ok(Json(found.into_iter().map(RecordingView::from).collect()))
}

/// One recording, an MP4; ranges of bytes as players want them.
#[utoipa::path(get, path = "/api/v1/streams/{name}/recordings/{file}", tag = "recordings",
    params(("name" = String, Path), ("file" = String, Path), ("Range" = Option<String>, Header)),
    responses((status = 200, body = Vec<u8>, content_type = "video/mp4"), (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 404, body = ErrorBody), (status = 416, description = "there are no such bytes")))]
pub(super) async fn file(Named(stream): Named, Path((_, file)): Path<(String, String)>, request: Request) -> Result<Response, Fail> {
    // Only what the list names can be had, so no name leads anywhere else.
    let missing = Fail::missing(format!("{:?} has no recording {file:?}", stream.name()));
    let found = apart(move || Ok(found(&stream))).await?;
    let recorded = found.into_iter().find(|recorded| recorded.name == file).ok_or(missing)?;
    let answer = ServeFile::new(recorded.path).try_call(request).await.map_err(anyhow::Error::from)?;
    Ok(answer.map(Body::new))
}

fn found(stream: &Stream) -> Vec<Recorded> {
    let mut all: Vec<_> = stream
        .recordings()
        .iter()
        .flat_map(|options| recorded(stream.name(), options))
        .collect();
    all.sort_by_key(|recorded| Reverse(recorded.start_s));
    all
}
