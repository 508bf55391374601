//! What streams there are, and how they are changed.

use super::App;
use super::ask::{Json, Named};
use super::fail::{ErrorBody, Fail};
use super::metrics::{self, StreamNumbers, Watchers};
use crate::broker::Report;
use crate::error::{Kind, WithKind};
use crate::publish::{OutputsReport, RecordState, View};
use crate::serve::Stream;
use crate::stats::pulse::Vitals;
use anyhow::Result;
use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use maskline_models::{Class, Model, builtin};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use utoipa::ToSchema;

/// One stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StreamView {
    name: String,
    /// Its table of the pipeline file, without what logs in.
    #[schema(value_type = Object)]
    settings: Value,
    vitals: Vitals,
    /// What its net tells apart; empty before the net is open.
    classes: Vec<ClassView>,
    /// What its recordings, HLS and pushes have done, in the order of the file.
    #[schema(value_type = Object)]
    outputs: OutputsReport,
    /// Where players find the masked stream, if there is an RTSP server.
    rtsp: Option<String>,
}

/// One class.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClassView {
    /// The value of its pixels in a class map.
    id: u8,
    name: String,
    /// `#rrggbb`.
    color: String,
    /// Whether it is drawn where nobody asked for particular classes.
    drawn: bool,
}

/// One built-in model.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ModelView {
    name: String,
    description: String,
    /// Of the weights; empty where it is not stated.
    licence: String,
    bytes: usize,
    /// Mean intersection over union on its validation split, 0-1, where it is known.
    miou: Option<f64>,
    /// Whether it runs where none is named.
    default: bool,
    classes: Vec<String>,
}

/// The program.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct About {
    version: String,
    /// Whether requests need a token.
    token_needed: bool,
}

/// What changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    /// One line each.
    changed: Vec<String>,
}

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Login {
    token: String,
}

impl From<&Class> for ClassView {
    fn from(class: &Class) -> Self {
        Self {
            id: class.id,
            name: class.name.clone(),
            color: class.color.to_string(),
            drawn: class.is_drawn(),
        }
    }
}

impl StreamView {
    fn new(app: &App, stream: &Stream) -> Self {
        Self {
            name: stream.name().into(),
            settings: stream.settings(),
            vitals: stream.vitals(),
            classes: stream.classes().iter().map(ClassView::from).collect(),
            outputs: stream.outputs(),
            rtsp: app.host.rtsp_url(stream.name(), View::Masked),
        }
    }
}

/// All streams, in the order of their names.
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams", responses((status = 200, body = Vec<StreamView>)))]
pub(super) async fn list(State(app): State<Arc<App>>) -> Answer<Vec<StreamView>> {
    let streams = app.host.streams();
    Answer(streams.iter().map(|stream| StreamView::new(&app, stream)).collect())
}

/// Adds a stream and starts it. The body has the keys of a `[[stream]]` table of a pipeline file.
#[utoipa::path(post, path = "/api/v1/streams", tag = "streams",
    request_body(content = Object, example = json!({"name": "north", "source": {"input": "rtsp://camera/1"}, "overlay": {"alpha": 0.5}})),
    responses((status = 201, description = "it was added", body = StreamView),
        (status = 409, description = "the name is taken", body = ErrorBody),
        (status = 422, description = "it cannot be as it is wanted", body = ErrorBody)))]
pub(super) async fn add(State(app): State<Arc<App>>, Json(wanted): Json<Value>) -> Result<impl IntoResponse, Fail> {
    let name = wanted.get("name").and_then(Value::as_str).unwrap_or_default();
    if app.host.stream(name).is_some() {
        return Err(Fail::new(
            StatusCode::CONFLICT,
            format!("there is a stream {name:?} already: choose another name, or PATCH it"),
        ));
    }
    let host = app.host.clone();
    let stream = apart(move || host.add(&wanted)).await?;
    let place = path_of(stream.name());
    Ok((StatusCode::CREATED, [(LOCATION, place)], Answer(StreamView::new(&app, &stream))))
}

/// One stream.
#[utoipa::path(get, path = "/api/v1/streams/{name}", tag = "streams", params(("name" = String, Path)),
    responses((status = 200, body = StreamView), (status = 404, body = ErrorBody)))]
pub(super) async fn one(State(app): State<Arc<App>>, Named(stream): Named) -> Answer<StreamView> {
    Answer(StreamView::new(&app, &stream))
}

/// Changes a stream while it runs. The body is a JSON merge patch (RFC 7396) of its settings: `alpha` and `only` of the overlay,
/// `every` of `temporal`, zones, and whatever else its table may hold; `null` removes a key.
#[utoipa::path(patch, path = "/api/v1/streams/{name}", tag = "streams", params(("name" = String, Path)),
    request_body(content = Object, content_type = "application/merge-patch+json", example = json!({"overlay": {"alpha": 0.3, "only": ["road"]}})),
    responses((status = 200, body = StreamView), (status = 404, body = ErrorBody),
        (status = 422, description = "it cannot be as it is wanted", body = ErrorBody)))]
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Named(stream): Named,
    Json(change): Json<Value>,
) -> Result<Answer<StreamView>, Fail> {
    let (host, name) = (app.host.clone(), stream.name().to_owned());
    let stream = apart(move || {
        host.patch(&name, &change)?;
        // It may be another one now.
        Ok(host.stream(&name).unwrap_or(stream))
    });
    Ok(Answer(StreamView::new(&app, &*stream.await?)))
}

/// Stops a stream and removes it. What it recorded stays.
#[utoipa::path(delete, path = "/api/v1/streams/{name}", tag = "streams", params(("name" = String, Path)),
    responses((status = 204, description = "it is gone"), (status = 404, body = ErrorBody)))]
pub(super) async fn remove(State(app): State<Arc<App>>, Named(stream): Named) -> Result<StatusCode, Fail> {
    apart(move || app.host.remove(stream.name())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the pipeline file again and changes what is different.
#[utoipa::path(post, path = "/api/v1/reload", tag = "streams",
    responses((status = 200, body = Changed), (status = 422, description = "the file has errors; nothing was changed", body = ErrorBody)))]
pub(super) async fn reload(State(app): State<Arc<App>>) -> Result<Answer<Changed>, Fail> {
    let changed = apart(move || app.host.reload()).await?;
    Ok(Answer(Changed { changed }))
}

/// How the connections to message brokers are, in the order of the pipeline file.
#[utoipa::path(get, path = "/api/v1/brokers", tag = "watching", responses((status = 200, body = Vec<Report>)))]
pub(super) async fn brokers(State(app): State<Arc<App>>) -> Answer<Vec<Report>> {
    Answer(app.host.brokers())
}

/// The built-in models. A stream in the pipeline file may also name a file.
#[utoipa::path(get, path = "/api/v1/models", tag = "streams", responses((status = 200, body = Vec<ModelView>)))]
pub(super) async fn models() -> Result<Answer<Vec<ModelView>>, Fail> {
    static MODELS: OnceLock<Vec<ModelView>> = OnceLock::new();
    if let Some(models) = MODELS.get() {
        return Ok(Answer(models.clone()));
    }
    let models = apart(|| builtin::names().into_iter().map(model).collect::<Result<Vec<_>>>()).await?;
    Ok(Answer(MODELS.get_or_init(|| models).clone()))
}

fn model(name: &str) -> Result<ModelView> {
    let model = Model::open(&format!("builtin:{name}"), None).kind(Kind::Internal)?;
    let contract = &model.contract;
    Ok(ModelView {
        name: name.into(),
        description: contract.description.clone(),
        licence: contract.licence.clone(),
        bytes: model.onnx.len(),
        miou: contract.training.as_ref().and_then(|t| t.miou),
        default: builtin::default() == Some(name),
        classes: contract
            .heads
            .first()
            .map_or(Vec::new(), |h| h.classes.iter().map(|c| c.name.clone()).collect()),
    })
}

/// The program.
#[utoipa::path(get, path = "/api/v1/about", tag = "watching", responses((status = 200, body = About)))]
pub(super) async fn about(State(app): State<Arc<App>>) -> Answer<About> {
    Answer(About {
        version: env!("CARGO_PKG_VERSION").into(),
        token_needed: app.auth.is_needed(),
    })
}

/// Every number as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", tag = "watching",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Fail> {
    let numbers = |stream: &Arc<Stream>| {
        let recordings = stream.outputs().record;
        StreamNumbers {
            name: stream.name().into(),
            vitals: stream.vitals(),
            latencies: stream.pulse().latencies(),
            recorded_bytes: recordings.iter().map(|r| r.bytes).sum(),
            encoder_failures: stream.encoder_failures(),
            recordings_paused: recordings.iter().filter(|r| matches!(r.state, RecordState::Paused(_))).count(),
        }
    };
    let streams = app.host.streams().iter().map(numbers).collect();
    let watchers = Watchers {
        webrtc: app.host.webrtc().len(),
        rtsp: app.host.rtsp_clients(),
    };
    let page = metrics::render(streams, watchers, app.host.brokers()).map_err(anyhow::Error::from)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page))
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "watching", responses((status = 200, body = Object)))]
pub(super) async fn openapi(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], app.document.clone())
}

/// Gives a browser a cookie for the token, so that it may ask.
#[utoipa::path(post, path = "/login", tag = "watching", request_body = Login,
    responses((status = 204, description = "the cookie is set"), (status = 401, description = "not the token", body = ErrorBody)), security(()))]
pub(super) async fn login(State(app): State<Arc<App>>, Json(login): Json<Login>) -> Result<(StatusCode, [(HeaderName, String); 1]), Fail> {
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, app.auth.log_in(&login.token)?)]))
}

/// Makes a browser forget the cookie.
#[utoipa::path(post, path = "/logout", tag = "watching", responses((status = 204, description = "the cookie is gone")))]
pub(super) async fn logout(State(app): State<Arc<App>>) -> (StatusCode, [(HeaderName, String); 1]) {
    (StatusCode::NO_CONTENT, [(SET_COOKIE, app.auth.log_out())])
}

/// The address of a stream.
pub(super) fn path_of(name: &str) -> String {
    format!("/api/v1/streams/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// Runs what may take a while where it holds up no other request.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, Fail> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|panic| anyhow::anyhow!("a request could not be served: {panic}"))??)
}
