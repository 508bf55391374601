//! What a request is told when it cannot be served: a status and `{"error": "one line"}`.

use crate::error::{Kind, kind_of};
use crate::privacy::shown;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// A request that was not served.
#[derive(Debug)]
pub(super) struct Fail {
    pub status: StatusCode,
    /// What was found, what was wanted, what to do.
    pub line: String,
}

/// What such a request gets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// One line: what was found, what was wanted, what to do.
    error: String,
}

impl Fail {
    pub fn new(status: StatusCode, line: impl Into<String>) -> Self {
        Self { status, line: line.into() }
    }

    /// A stream, a file or a page that is not there.
    pub fn missing(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }
}

impl From<anyhow::Error> for Fail {
    fn from(error: anyhow::Error) -> Self {
        let status = match kind_of(&error) {
            Kind::Usage | Kind::BadInput | Kind::Config => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unavailable | Kind::Temporary => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal | Kind::Io | Kind::Interrupted | Kind::Terminated => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, format!("{error:#}"))
    }
}

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        let error = shown(&self.line).lines().collect::<Vec<_>>().join("; ");
        (self.status, Json(ErrorBody { error })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::fault;

    #[tokio::test]
    async fn a_failure_is_one_line_without_a_password() {
        let fail = Fail::from(fault(Kind::Config, "rtsp://me:hunter2@cam/1 is taken\nand so is the other"));
        let response = fail.into_response();
        assert_eq!(response.status(), 422);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(body, r#"{"error":"rtsp://cam/1 is taken; and so is the other"}"#.as_bytes());
    }
}
