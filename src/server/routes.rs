//! Which address is served by what, who may ask for it, and the document that says so.

use super::ask::MAX_BODY_BYTES;
use super::fail::Fail;
use super::{App, api, events, guard, health, live, page, recordings, whep};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const BEARER: &str = "bearer";

/// Every address with what serves it; what is not in the document is a file of the page.
fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(preface())
        .routes(routes!(api::list, api::add))
        .routes(routes!(api::one, api::patch, api::remove))
        .routes(routes!(live::snapshot))
        .routes(routes!(live::mjpeg))
        .routes(routes!(live::live))
        .routes(routes!(whep::begin))
        .routes(routes!(whep::end))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::file))
        .routes(routes!(api::reload))
        .routes(routes!(api::brokers))
        .routes(routes!(api::models))
        .routes(routes!(events::events))
        .routes(routes!(api::about))
        .routes(routes!(api::openapi))
        .routes(routes!(api::metrics))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(api::login))
        .routes(routes!(api::logout))
}

fn preface() -> OpenApi {
    let mut components = Components::new();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme(BEARER, scheme);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("maskline")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Live streams with semantic segmentation: look at them, change them, watch over them. Any request may also be \
                     answered with 400, 401, 403, 408, 413, 415 or 500 and {\"error\": \"one line\"}.",
                ))
                .build(),
        )
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, _, String>(BEARER, [])]))
        .build()
}

/// The OpenAPI document as JSON.
pub(super) fn document() -> String {
    let (_, document) = documented().split_for_parts();
    document.to_pretty_json().expect("what the program itself made can be written")
}

/// The whole server without a network.
pub(super) fn router(app: App) -> Router {
    let (router, _) = documented().split_for_parts();
    let app = Arc::new(app);
    router
        .merge(page::routes())
        .fallback(async |request: Request| {
            Fail::missing(format!("there is nothing at {:?}: see /api/v1/openapi.json", request.uri().path()))
        })
        .method_not_allowed_fallback(async |request: Request| {
            let line = format!("{} does nothing here: see /api/v1/openapi.json", request.method());
            Fail::new(StatusCode::METHOD_NOT_ALLOWED, line)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(app.clone(), gate))
        .with_state(app)
}

/// Every request comes through here, and every answer leaves through here.
async fn gate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    guard::dress(match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(fail) => refusal(fail),
    })
}

fn admit(app: &App, request: &Request) -> Result<(), Fail> {
    let (path, headers) = (request.uri().path(), request.headers());
    // What watches over a process calls it by any name. A token that a program brings is no browser's that was led astray.
    if matches!(path, "/healthz" | "/readyz") || app.auth.has_bearer(headers) {
        return Ok(());
    }
    app.guard.check(request.method(), headers)?;
    match path == "/login" || page::is_file(path) || app.auth.admits(headers) {
        true => Ok(()),
        false => Err(Fail::new(
            StatusCode::UNAUTHORIZED,
            "a token is needed: send it as `Authorization: Bearer TOKEN`",
        )),
    }
}

fn refusal(fail: Fail) -> Response {
    let unknown = fail.status == StatusCode::UNAUTHORIZED;
    let mut response = fail.into_response();
    if unknown {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
