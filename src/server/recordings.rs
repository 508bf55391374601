//! What was recorded of a stream, in parts as players ask for them.

use super::api::apart;
use super::ask::Named;
use super::fail::{ErrorBody, Fail};
use crate::publish::Recorded;
use crate::serve::Stream;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::Response;
use serde::Serialize;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;
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

/// The finished recordings of a stream, newest first.
#[utoipa::path(get, path = "/api/v1/streams/{name}/recordings", tag = "recordings", params(("name" = String, Path)),
    responses((status = 200, body = Vec<RecordingView>), (status = 404, body = ErrorBody)))]
pub(super) async fn list(Named(stream): Named) -> Result<Json<Vec<RecordingView>>, Fail> {
    let found = apart(move || Ok(found(&stream))).await?;
    Ok(Json(found.into_iter().map(|(_, view)| view).collect()))
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
    let path = found
        .into_iter()
        .find_map(|(path, view)| (view.file == file).then_some(path))
        .ok_or(missing)?;
    let answer = ServeFile::new(path).try_call(request).await.map_err(anyhow::Error::from)?;
    Ok(answer.map(Body::new))
}

fn found(stream: &Stream) -> Vec<(PathBuf, RecordingView)> {
    let view = |recorded: Recorded| {
        let since = recorded.begun.duration_since(UNIX_EPOCH).ok();
        let view = RecordingView {
            file: recorded.path.file_name()?.to_str()?.to_owned(),
            bytes: recorded.bytes,
            start_ms: since.map(|since| since.as_millis() as u64),
        };
        Some((recorded.path, view))
    };
    stream.recorded().into_iter().filter_map(view).collect()
}
