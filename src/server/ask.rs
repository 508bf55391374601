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

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Fail> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        let plain = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !matches!(plain.as_str(), "application/json" | "application/merge-patch+json") {
            let line = format!("the body is {kind:?}, wanted application/json");
            return Err(Fail::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, line));
        }
        let Ok(body) = tokio::time::timeout(BODY_TIME, Bytes::from_request(request, app)).await else {
            let line = format!("the body was not there after {} s", BODY_TIME.as_secs());
            return Err(Fail::new(StatusCode::REQUEST_TIMEOUT, line));
        };
        let body = body.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Fail::new(
                error.status(),
                format!("the body is too large, wanted at most {MAX_BODY_BYTES} bytes"),
            ),
            status => Fail::new(status, error.body_text()),
        })?;
        let read = serde_json::from_slice(&body);
        read.map(Self)
            .map_err(|error| Fail::new(StatusCode::BAD_REQUEST, format!("the body is no JSON as it is wanted: {error}")))
    }
}
