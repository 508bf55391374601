//! Pictures of a stream: one, one after the other, and plain pictures with class maps for the page.

use super::App;
use super::ask::Named;
use super::fail::{ErrorBody, Fail};
use crate::privacy::shown;
use crate::publish::preview::{Masked, Pair, Preview, PreviewOptions, Status, Viewer};
use crate::serve::Stream;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use maskline_models::Class;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long a snapshot waits for its picture.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest message of a page in bytes: it has nothing to say but "next".
const MAX_MESSAGE: usize = 64;

/// What makes the pictures, one for each stream however many look at it.
#[derive(Default)]
pub(super) struct Previews(Mutex<BTreeMap<String, Made>>);

struct Made {
    of: Weak<Stream>,
    classes: Vec<Class>,
    preview: Arc<Preview>,
}

impl Previews {
    /// Of this stream.
    ///
    /// # Errors
    /// 503 before its net is open: until then the colours of its classes are not known.
    fn of(&self, stream: &Arc<Stream>) -> Result<Arc<Preview>, Fail> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, made| made.of.strong_count() > 0);
        let classes = stream.classes();
        if classes.is_empty() {
            return Err(none_yet(stream));
        }
        // Another stream may have the name by now, and this one another net.
        if let Some(made) = all.get(stream.name())
            && made.of.as_ptr() == Arc::as_ptr(stream)
            && made.classes == classes
        {
            return Ok(made.preview.clone());
        }
        let of = Arc::downgrade(stream);
        let told = of.clone();
        let status = move || told.upgrade().map_or_else(Status::default, |stream| status(&stream));
        let preview = Preview::new(
            stream.screen().clone(),
            &classes,
            PreviewOptions::default(),
            Box::new(move |_| status()),
        );
        let made = Made {
            of,
            classes,
            preview: preview.clone(),
        };
        all.insert(stream.name().into(), made);
        Ok(preview)
    }
}

fn status(stream: &Stream) -> Status {
    let vitals = stream.vitals();
    Status {
        state: vitals.state.to_string(),
        zones_on: vitals.zones.iter().map(|zone| !zone.on.is_empty()).collect(),
    }
}

fn none_yet(stream: &Stream) -> Fail {
    let vitals = stream.vitals();
    let line = format!(
        "{:?} has no picture yet: it is {}: {}",
        stream.name(),
        vitals.state,
        shown(&vitals.why)
    );
    Fail::new(StatusCode::SERVICE_UNAVAILABLE, line)
}

/// The newest masked picture.
#[utoipa::path(get, path = "/api/v1/streams/{name}/snapshot.jpg", tag = "pictures", params(("name" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "image/jpeg"), (status = 404, body = ErrorBody),
        (status = 503, description = "there is no picture yet", body = ErrorBody)))]
pub(super) async fn snapshot(State(app): State<Arc<App>>, Named(stream): Named) -> Result<Response, Fail> {
    let mut viewer = app.previews.of(&stream)?.masked()?;
    match tokio::time::timeout(PATIENCE, viewer.next()).await {
        Ok(Some(picture)) => Ok(([(CONTENT_TYPE, "image/jpeg")], picture.jpeg.clone()).into_response()),
        _ => Err(none_yet(&stream)),
    }
}

/// Masked pictures one after the other, as `<img>` shows them.
#[utoipa::path(get, path = "/api/v1/streams/{name}/mjpeg", tag = "pictures", params(("name" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "multipart/x-mixed-replace"), (status = 404, body = ErrorBody),
        (status = 503, description = "there is no picture yet", body = ErrorBody)))]
pub(super) async fn mjpeg(State(app): State<Arc<App>>, Named(stream): Named) -> Result<Response, Fail> {
    let viewer = app.previews.of(&stream)?.masked()?;
    let parts = stream::unfold(viewer, async |mut viewer: Viewer<Masked>| {
        let picture = viewer.next().await?;
        Some((Ok::<_, Infallible>(part(&picture)), viewer))
    });
    let kind = [(CONTENT_TYPE, "multipart/x-mixed-replace; boundary=picture")];
    Ok((kind, Body::from_stream(parts)).into_response())
}

fn part(picture: &Masked) -> Bytes {
    let head = format!(
        "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nX-Index: {}\r\nX-Pts-Ns: {}\r\nX-Filler: {}\r\n\r\n",
        picture.jpeg.len(),
        picture.index,
        picture.pts_ns,
        picture.filler,
    );
    [head.as_bytes(), &picture.jpeg, b"\r\n"].concat().into()
}

/// A WebSocket of plain pictures with their class maps (docs/formats.md, "Messages of the preview"), from which a page draws
/// the mask itself. Each text message asks for one picture and gets the newest that was not sent yet, so that none waits on
/// the way and a slow page gets fewer.
#[utoipa::path(get, path = "/api/v1/streams/{name}/live", tag = "pictures", params(("name" = String, Path)),
    responses((status = 101, description = "a WebSocket"), (status = 404, body = ErrorBody),
        (status = 426, description = "no WebSocket was asked for", body = ErrorBody),
        (status = 503, description = "there is no picture yet", body = ErrorBody)))]
pub(super) async fn live(
    State(app): State<Arc<App>>,
    Named(stream): Named,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Fail> {
    let socket = socket.map_err(|error| Fail::new(StatusCode::UPGRADE_REQUIRED, error.body_text()))?;
    let viewer = app.previews.of(&stream)?.pair()?;
    let socket = socket.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(socket.on_upgrade(|socket| send(socket, viewer)))
}

/// Until the page leaves or the stream ends.
async fn send(mut socket: WebSocket, mut viewer: Viewer<Pair>) {
    while let Some(Ok(message)) = socket.recv().await {
        if !matches!(message, Message::Text(_)) {
            continue;
        }
        let picture = loop {
            tokio::select! {
                picture = viewer.next() => break picture,
                // Whoever leaves while nothing comes from the stream is not waited for.
                told = socket.recv() => match told {
                    Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return,
                },
            }
        };
        let Some(picture) = picture else {
            let end = CloseFrame {
                code: close_code::AWAY,
                reason: "the stream ended".into(),
            };
            socket.send(Message::Close(Some(end))).await.ok();
            return;
        };
        if socket.send(Message::Binary(picture.message.clone())).await.is_err() {
            return;
        }
    }
}
