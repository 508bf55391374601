//! What a request asks for: a stream by its name, and a JSON body of bounded size that comes in bounded time.

use super::App;
use super::fail::Fail;
use crate::serve::Stream;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Largest body in bytes: a stream with a hundred zones has a tenth of it.
pub(super) const MAX_BODY_BYTES: usize = 256 * 1024;
/// A body is there after so long, or it does not count.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The stream of that name in the address.
pub(super) struct Named(pub Arc<Stream>);

impl FromRequestParts<Arc<App>> for Named {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Fail> {
        let fields = Path::<HashMap<String, String>>::from_request_parts(parts, app).await;
        let fields = fields.map_err(|error| Fail::new(StatusCode::BAD_REQUEST, error.body_text()))?;
        let name = fields.get("name").map_or("", |name| name);
        let found = app.host.stream(name).map(Self);
        found.ok_or_else(|| Fail::missing(format!("there is no stream {name:?}: GET /api/v1/streams lists them")))
    }
}

/// A body of JSON. A page of others cannot send that type without being asked for its origin.
pub(super) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Fail> {
        let body = body(request, &["application/json", "application/merge-patch+json"]).await?;
        let read = serde_json::from_slice(&body);
        read.map(Self)
            .map_err(|error| Fail::new(StatusCode::BAD_REQUEST, format!("the body is no JSON as it is wanted: {error}")))
    }
}

/// A body that describes a WebRTC session.
pub(super) struct Sdp(pub String);

impl FromRequest<Arc<App>> for Sdp {
    type Rejection = Fail;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Fail> {
        let body = body(request, &["application/sdp"]).await?;
        let text = String::from_utf8(body.to_vec());
        text.map(Self)
            .map_err(|_| Fail::new(StatusCode::BAD_REQUEST, "the body is no UTF-8 text, wanted an offer"))
    }
}

/// The whole body, of one of these types.
async fn body(request: Request, kinds: &[&str]) -> Result<Bytes, Fail> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let plain = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !kinds.contains(&plain.as_str()) {
        let line = format!("the body is {kind:?}, wanted {}", kinds[0]);
        return Err(Fail::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, line));
    }
    let Ok(body) = tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await else {
        let line = format!("the body was not there after {} s", BODY_TIME.as_secs());
        return Err(Fail::new(StatusCode::REQUEST_TIMEOUT, line));
    };
    body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let line = format!("the body is too large, wanted at most {MAX_BODY_BYTES} bytes");
            Fail::new(error.status(), line)
        }
        status => Fail::new(status, error.body_text()),
    })
}
