//! Whether it runs, for whoever watches over the process. Open to all, since what watches seldom has a token.

use super::App;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// 200 as long as every frame that comes in is shown; else 503, and to whoever may ask, whose are not. A source that is lost is no
/// fault of this program.
#[utoipa::path(get, path = "/healthz", tag = "watching",
    responses((status = 200, description = "frames move", body = String), (status = 503, description = "they do not", body = String)),
    security(()))]
pub(super) async fn healthz(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    told(app.host.is_healthy(), app.auth.admits(&headers))
}

/// 200 while every stream is live; else 503, and to whoever may ask, which are not.
#[utoipa::path(get, path = "/readyz", tag = "watching",
    responses((status = 200, description = "every stream is live", body = String), (status = 503, description = "one is not", body = String)),
    security(()))]
pub(super) async fn readyz(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    told(app.host.is_ready(), app.auth.admits(&headers))
}

fn told(outcome: Result<(), String>, may_know: bool) -> Response {
    match outcome {
        Ok(()) => "ok\n".into_response(),
        Err(why) if may_know => (StatusCode::SERVICE_UNAVAILABLE, crate::privacy::shown(&why) + "\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no\n").into_response(),
    }
}
