//! Server-sent events: what happens to the streams, from where the listener left off.

use super::App;
use crate::serve::events::ServeEvent;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

/// A comment goes out after so long without an event, so that proxies keep the connection and a listener that left is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which events are told first.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// `all` tells the kept events first (the last 1000); else only new ones are told.
    past: Option<Past>,
}

/// How much of the past is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Past {
    All,
    None,
}

/// Events as they happen, each as JSON in a `data:` line. With `Last-Event-ID`, which browsers send by themselves, what was
/// missed comes first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(From, ("Last-Event-ID" = Option<String>, Header, description = "id of the last event that was received")),
    responses((status = 200, description = "a stream of events that does not end", body = ServeEvent, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let all = from.past == Some(Past::All);
    let first = first(last, app.epoch, all);
    let told = Telling::new(app, first);
    let events = stream::unfold(told, async |mut telling| {
        let event = telling.next().await?;
        let event = Event::default().id(format!("{}-{}", telling.app.epoch, event.id)).json_data(&event);
        // What the program itself made can be written.
        Some((Ok(event.unwrap_or_default()), telling))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// The first event that is told; `None` for the next one that happens. Ids of another process (`EPOCH-ID`) say nothing about
/// the events of this one: all of them are new.
fn first(last: Option<&str>, epoch: u64, all: bool) -> Option<u64> {
    let known = last.and_then(|last| {
        let (of, id) = last.split_once('-')?;
        Some((of.parse::<u64>().ok()?, id.parse::<u64>().ok()?))
    });
    match known {
        Some((of, id)) if of == epoch => Some(id.saturating_add(1)),
        Some(_) => Some(0),
        None => all.then_some(0),
    }
}

/// One listener.
struct Telling {
    app: Arc<App>,
    listener: Receiver<ServeEvent>,
    waiting: VecDeque<ServeEvent>,
    /// What is told next has at least this id.
    next: u64,
}

impl Telling {
    fn new(app: Arc<App>, first: Option<u64>) -> Self {
        // In this order nothing is lost between the two; what comes by both ways is told once.
        let listener = app.host.events().listen();
        let kept = app.host.events().since(0);
        let next = first.unwrap_or_else(|| kept.last().map_or(0, |newest| newest.id + 1));
        let waiting = kept.into();
        Self {
            app,
            listener,
            waiting,
            next,
        }
    }

    async fn next(&mut self) -> Option<ServeEvent> {
        loop {
            let event = match self.waiting.pop_front() {
                Some(event) => event,
                None => match self.listener.recv().await {
                    Ok(event) => event,
                    Err(RecvError::Lagged(_)) => {
                        self.waiting = self.app.host.events().since(self.next).into();
                        continue;
                    }
                    Err(RecvError::Closed) => return None,
                },
            };
            if event.id >= self.next {
                self.next = event.id + 1;
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_goes_on_where_it_left_off_and_begins_anew_after_a_restart() {
        assert_eq!(first(Some("77-4"), 77, false), Some(5));
        assert_eq!(first(Some("76-4"), 77, false), Some(0));
        assert_eq!(first(None, 77, true), Some(0));
        for none in [None, Some(""), Some("4"), Some("a-b"), Some("77-"), Some("-4")] {
            assert_eq!(first(none, 77, false), None, "{none:?}");
        }
        assert_eq!(first(Some("77-18446744073709551615"), 77, false), Some(u64::MAX));
    }
}
