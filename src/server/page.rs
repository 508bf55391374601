//! The page: files that are part of the program. They hold nothing secret, so that they are there before the login.

use super::App;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use std::sync::Arc;

/// Address, type and text of every file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/page/main.js", JS, include_str!("page/main.js")),
    ("/page/api.js", JS, include_str!("page/api.js")),
    ("/page/card.js", JS, include_str!("page/card.js")),
    ("/page/dom.js", JS, include_str!("page/dom.js")),
    ("/page/events.js", JS, include_str!("page/events.js")),
    ("/page/picture.js", JS, include_str!("page/picture.js")),
    ("/page/plot.js", JS, include_str!("page/plot.js")),
    ("/page/recordings.js", JS, include_str!("page/recordings.js")),
];

const JS: &str = "text/javascript; charset=utf-8";

/// Whether anybody may have what is at this address.
pub(super) fn is_file(path: &str) -> bool {
    FILES.iter().any(|(own, ..)| *own == path)
}

/// The files; a browser asks each time whether they are the same, since a new program may bring others.
pub(super) fn routes() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, (path, kind, text)| {
        let answer = ([(CONTENT_TYPE, *kind), (CACHE_CONTROL, "no-cache")], *text);
        router.route(path, get(async move || answer))
    })
}
