//! `maskline serve`

use crate::cli::ServeArgs;
use crate::commands::check;
use crate::commands::run::Talk;
use crate::config::serve::ServeConfig;
use crate::error::{Kind, fault};
use crate::infer::runtime::runtime;
use crate::log;
use crate::serve::{Host, ServeEvent};
use crate::server::Server;
use crate::signals;
use crate::source::StopFlag;
use anyhow::Result;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often signals and events are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Runs all streams of a file until a signal comes. Gives the signal's kind.
///
/// # Errors
/// Those of [`ServeConfig::load`] and [`Host::start`].
pub fn run(args: &ServeArgs, talk: Talk) -> Result<Option<Kind>> {
    let config = ServeConfig::load(&args.file)?;
    // What is wrong on every machine and at every time is no reason to try again and again.
    let problems: Vec<_> = config
        .streams
        .iter()
        .flat_map(|s| check::model_problems(&s.pipeline, true))
        .collect();
    if !problems.is_empty() {
        return Err(fault(Kind::Config, problems.join("\n")));
    }
    runtime()?;
    check::provider(&config.shared.pipeline)?;
    let _log = log::start(args.log, talk)?;
    let (stop, reload) = (StopFlag::default(), StopFlag::default());
    let caught = signals::watch_and_reload(stop.clone(), reload.clone())?;
    let options = config.server.clone();
    let host = Host::start(config)?;
    let server = options.map(|options| Server::start(host.clone(), &options)).transpose()?;
    if let Some(server) = &server {
        tracing::info!("the page is at {}", server.url());
    }
    let mut told = 0;
    notify(&[NotifyState::Ready]);
    let beat = sd_notify::watchdog_enabled().map(|every| every / 3);
    let mut last_beat = Instant::now();
    while !stop.requested() {
        told = tell_since(&host, told);
        if reload.taken() {
            read_again(&host, server.as_ref());
        }
        if beat.is_some_and(|beat| last_beat.elapsed() >= beat) && host.is_healthy().is_ok() {
            notify(&[NotifyState::Watchdog]);
            last_beat = Instant::now();
        }
        thread::sleep(LOOK);
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    drop(server);
    host.end();
    tell_since(&host, told);
    Ok(caught.kind())
}

fn read_again(host: &Arc<Host>, server: Option<&Server>) {
    if let Err(error) = server.map_or(Ok(()), Server::reload_certificate) {
        tracing::error!("not read again: {error:#}");
    }
    match host.reload() {
        Ok(done) if done.is_empty() => tracing::info!("read again: nothing has changed"),
        Ok(_) => {} // each line is an event
        Err(error) => format!("{error:#}")
            .lines()
            .for_each(|line| tracing::error!("not read again: {line}")),
    }
}

/// Tells systemd, if it is there.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd was not told: {error}");
    }
}

/// Writes the events from this id on into the log, and gives the id of the next.
fn tell_since(host: &Host, id: u64) -> u64 {
    let events = host.events().since(id);
    events.iter().for_each(tell);
    events.last().map_or(id, |last| last.id + 1)
}

/// Writes an event into the log.
fn tell(event: &ServeEvent) {
    use crate::serve::Happening;
    let stream = event.stream.as_deref().unwrap_or("-");
    match &event.what {
        Happening::State { state, why } => match state.as_str() {
            "stalled" | "lost" => tracing::warn!(stream, state, "{why}"),
            _ => tracing::info!(stream, state, "{why}"),
        },
        Happening::Zone { zone, rule, state, share } => tracing::info!(stream, zone, rule, state, share),
        Happening::Config { what } => tracing::info!(stream, "{what}"),
        Happening::Output { what } => tracing::warn!(stream, "{what}"),
    }
}
