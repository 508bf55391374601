//! One stream of a host: its pipeline, run again and again until the stream is removed.

use super::events::{Events, Happening};
use crate::backoff::Waits;
use crate::config::PipelineConfig;
use crate::config::serve::StreamConfig;
use crate::error::{Kind, fault, kind_of};
use crate::messages::{Event, unknown_classes};
use crate::overlay::Overlay;
use crate::panics;
use crate::pipeline::hosting::{Ear, Hosting, Lender, Look, Looks};
use crate::pipeline::{Pipeline, check_confidence, memory_problem, open_model, session_options};
use crate::privacy::shown;
use crate::publish::{CoderOptions, Coders, Outputs, OutputsReport, Publisher, RecordOptions, Screen, View};
use crate::source::{State, StopFlag};
use crate::stats::pulse::{Pulse, Vitals};
use crate::testing::plain;
use anyhow::{Context, Result};
use maskline_models::Class;
use maskline_models::classes::palette;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often it is looked whether the last good frame must be held up; the rate of filler.
const HOLD_EVERY: Duration = Duration::from_millis(200);
/// How often a stream that waits looks whether it shall end.
const LOOK: Duration = Duration::from_millis(50);
/// The first wait after a failure; each is twice as long as the one before.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After so long a run the waits begin anew.
const STEADY: Duration = Duration::from_secs(10);
/// How long the end of a stream is waited for.
const PATIENCE: Duration = Duration::from_secs(4);

/// One stream of a host.
pub struct Stream {
    name: String,
    config: Mutex<StreamConfig>,
    screen: Arc<Screen>,
    pulse: Arc<Pulse>,
    publisher: Arc<Publisher>,
    looks: Arc<Looks>,
    /// H.264 of what is shown, made while somebody takes it.
    coders: Coders,
    outputs: Mutex<Outputs>,
    nets: Arc<dyn Lender>,
    ear: Arc<StreamEar>,
    /// Ends the run that is under way, so that the next begins.
    run: Mutex<StopFlag>,
    end: StopFlag,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Hears what the pipeline of a stream says.
struct StreamEar {
    name: Arc<str>,
    events: Arc<Events>,
    classes: Mutex<Vec<Class>>,
    palette: Arc<Mutex<[[u8; 3]; 256]>>,
    lines: Vec<LineTaker>,
}

/// Takes the name of a stream and a line of JSON, and does not wait.
pub(super) type LineTaker = Arc<dyn Fn(&Arc<str>, &[u8]) + Send + Sync>;

impl Ear for StreamEar {
    fn name(&self) -> &str {
        &self.name
    }

    fn classes(&self, classes: &[Class]) {
        *locked(&self.classes) = classes.to_vec();
        *locked(&self.palette) = palette(classes);
    }

    fn event(&self, event: &Event) {
        let what = Happening::Zone {
            zone: event.zone.clone(),
            rule: event.rule.clone(),
            state: event.state.name().into(),
            share: event.share,
        };
        self.events.add(Some(&self.name), Some(event.pts_ns), what);
    }

    fn wants_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    fn line(&self, line: Vec<u8>) {
        self.lines.iter().for_each(|taker| taker(&self.name, &line));
    }
}

impl Stream {
    /// Begins a stream that runs until [`Stream::remove`].
    ///
    /// # Errors
    /// If threads cannot be had.
    pub(super) fn start(config: StreamConfig, nets: Arc<dyn Lender>, events: Arc<Events>, lines: Vec<LineTaker>) -> Result<Arc<Self>> {
        let name: Arc<str> = config.name.as_str().into();
        let told = (name.clone(), events.clone());
        let pulse = Arc::new(Pulse::new(move |state, why| {
            let (state, why) = (state.to_string(), why.to_owned());
            told.1.add(Some(&told.0), None, Happening::State { state, why });
        }));
        let screen = Arc::<Screen>::default();
        let coding = CoderOptions {
            name: config.name.clone(),
            ..CoderOptions::default()
        };
        let stream = Arc::new(Self {
            publisher: Arc::new(Publisher::new(screen.clone(), pulse.clone())),
            looks: Arc::new(Looks::new(look_of(&config))),
            ear: Arc::new(StreamEar {
                name: name.clone(),
                events,
                classes: Mutex::default(),
                palette: coding.palette.clone(),
                lines,
            }),
            coders: Coders::new(&screen, &coding),
            outputs: Mutex::default(),
            name: config.name.clone(),
            config: Mutex::new(config),
            screen,
            pulse,
            nets,
            run: Mutex::default(),
            end: StopFlag::default(),
            threads: Mutex::default(),
        });
        let spawn = |what: &str, body: fn(&Self)| {
            let stream = stream.clone();
            let thread = thread::Builder::new().name(what.into()).spawn(move || body(&stream));
            thread.context("cannot start the threads of a stream")
        };
        stream.publish(&locked(&stream.config).clone())?;
        *locked(&stream.threads) = vec![spawn("stream", Self::supervise)?, spawn("hold", Self::hold)?];
        Ok(stream)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its numbers, to be counted with.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// How it is now.
    pub fn vitals(&self) -> Vitals {
        self.pulse.vitals()
    }

    /// Where it shows itself.
    pub(crate) fn screen(&self) -> &Arc<Screen> {
        &self.screen
    }

    /// How often its encoders failed and were built anew.
    pub(crate) fn encoder_failures(&self) -> u64 {
        [View::Masked, View::Raw, View::Classes]
            .into_iter()
            .map(|view| self.coders.of(view).failures())
            .sum()
    }

    /// What it shows, as H.264.
    pub(crate) fn coders(&self) -> &Coders {
        &self.coders
    }

    /// The classes of its net; none before that is open.
    pub fn classes(&self) -> Vec<Class> {
        locked(&self.ear.classes).clone()
    }

    /// Where its JSON lines go.
    pub(super) fn lines(&self) -> Option<PathBuf> {
        locked(&self.config).lines.clone()
    }

    /// What is recorded of it, and where.
    pub(crate) fn recordings(&self) -> Vec<RecordOptions> {
        locked(&self.config).outputs.record.clone()
    }

    /// Its table as JSON, without secrets.
    pub fn settings(&self) -> Value {
        let mut table = self.table();
        hide_secrets(&mut table);
        table
    }

    /// Its table as JSON, as it is written.
    pub(super) fn table(&self) -> Value {
        serde_json::to_value(&locked(&self.config).table).unwrap_or_default() // what TOML holds, JSON can hold
    }

    /// Whether frames move: nobody's fault but ours if the source is live and they do not.
    pub(super) fn is_healthy(&self) -> Result<(), String> {
        let stall = locked(&self.config).pipeline.source.live_options.stall_after + Duration::from_secs(5);
        // A source that has just come back has not had its time yet.
        let since = self.pulse.since();
        let last = self.pulse.last_frame().map_or(since, |last| last.max(since));
        match self.pulse.state() {
            State::Live if last.elapsed() > stall => Err(format!(
                "{}: the source is live, but no frame was shown for {:.0} s",
                self.name,
                last.elapsed().as_secs_f64()
            )),
            _ => Ok(()),
        }
    }

    /// Whether the source is live and its frames are shown.
    pub(super) fn is_ready(&self) -> Result<(), String> {
        self.is_healthy()?;
        match (self.pulse.state(), self.pulse.last_frame()) {
            (State::Live, Some(_)) => Ok(()),
            (state, _) => Err(format!("{} is {state}", self.name)),
        }
    }

    /// Changes what it does. What can change while frames come does; for the rest the pipeline begins anew.
    ///
    /// # Errors
    /// 64 for classes that the net does not have.
    pub(super) fn apply(&self, new: StreamConfig) -> Result<()> {
        let classes = self.classes();
        if !classes.is_empty() && new.pipeline.model == locked(&self.config).pipeline.model {
            Overlay::new(&classes, &plain(64, 64), new.pipeline.overlay.clone()).map_err(|e| fault(Kind::Usage, format!("{e:#}")))?;
            let unknown: Vec<_> = unknown_classes(&new.pipeline.zones, &classes)
                .into_iter()
                .map(|(_, line)| line)
                .collect();
            if !unknown.is_empty() {
                return Err(fault(Kind::Usage, unknown.join("; ")));
            }
        }
        let pipeline = &new.pipeline;
        // A model and what is asked of it must fit each other, or the stream would begin anew for ever.
        let asked = |p: &PipelineConfig| (p.overlay.confidence, p.model.clone(), p.temporal.clone());
        if asked(pipeline) != asked(&locked(&self.config).pipeline) {
            let model = open_model(pipeline)?;
            let head = model
                .contract
                .head(pipeline.model.head.as_deref())
                .map_err(|e| fault(Kind::Usage, e))?;
            check_confidence(pipeline, head).map_err(|e| fault(Kind::Usage, format!("{e:#}")))?;
            if let Some((key, line)) = memory_problem(&model.contract, &pipeline.temporal) {
                return Err(fault(Kind::Usage, format!("{key}: {line}")));
            }
        }
        self.looks.set(look_of(&new));
        let old = std::mem::replace(&mut *locked(&self.config), new.clone());
        let needs_new_run = |config: &StreamConfig| {
            let p = &config.pipeline;
            (p.source.clone(), p.model.clone(), session_options(p), p.temporal.clone())
        };
        if needs_new_run(&old) != needs_new_run(&new) {
            locked(&self.run).request();
        }
        if old.outputs != new.outputs {
            self.publish(&new)?;
        }
        Ok(())
    }

    /// Begins its recordings, HLS and pushes, in place of those that there are.
    fn publish(&self, config: &StreamConfig) -> Result<()> {
        let mut outputs = locked(&self.outputs);
        // Those that there are finish first: they may have the same places.
        *outputs = Outputs::default();
        *outputs = Outputs::start(&self.screen, &self.coders, &self.name, &config.outputs)?;
        Ok(())
    }

    /// Its recordings, HLS and pushes in numbers.
    pub(crate) fn outputs(&self) -> OutputsReport {
        locked(&self.outputs).report()
    }

    /// Ends it, and waits for that as long as is reasonable.
    pub(super) fn remove(&self) {
        self.end.request();
        // What is written is finished before anything else: whoever ends us may not wait for long.
        *locked(&self.outputs) = Outputs::default();
        let deadline = Instant::now() + PATIENCE;
        for thread in std::mem::take(&mut *locked(&self.threads)) {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                thread.join().ok(); // it has said what happened
            }
        }
        self.publisher.end();
    }

    fn hosting(&self) -> Hosting {
        Hosting {
            pulse: self.pulse.clone(),
            publisher: self.publisher.clone(),
            looks: self.looks.clone(),
            nets: self.nets.clone(),
            ear: self.ear.clone(),
        }
    }

    /// Runs the pipeline, over and over.
    fn supervise(&self) {
        let mut waits = Waits::new(SHORTEST_WAIT, LONGEST_WAIT);
        while !self.end.requested() {
            let stop = self.end.inner();
            *locked(&self.run) = stop.clone();
            let config = locked(&self.config).pipeline.clone();
            self.publisher.begin();
            let began = Instant::now();
            let pipeline = Pipeline::from_config(config).hosted(self.hosting()).stop_with(stop.clone());
            let outcome = catch_unwind(AssertUnwindSafe(|| pipeline.run()));
            if stop.requested() {
                waits.begin_anew();
                continue;
            }
            let ended = matches!(outcome, Ok(Ok(_)));
            let why = match outcome {
                Ok(Ok(_)) => "the input ended".into(),
                Ok(Err(error)) if kind_of(&error) == Kind::Interrupted => continue,
                Ok(Err(error)) => shown(&format!("{error:#}")),
                Err(payload) => panics::describe(&*payload),
            };
            if !ended {
                self.pulse.failed();
            }
            self.pulse.enter(State::Lost, &why);
            if began.elapsed() >= STEADY {
                waits.begin_anew();
            }
            pause(&stop, waits.next());
        }
    }

    /// Holds the last good frame up while none comes.
    fn hold(&self) {
        while !self.end.requested() {
            thread::sleep(HOLD_EVERY);
            let Some(last) = self.pulse.last_frame() else { continue };
            if self.pulse.state() != State::Live {
                let since = clock(SystemTime::now() - last.elapsed());
                if let Err(error) = self.publisher.hold(&since) {
                    let what = format!("the last frame cannot be held up: {error:#}");
                    self.ear.events.add(Some(&self.name), None, Happening::Output { what });
                }
            }
        }
    }
}

/// Waits so long, or until something is asked for.
fn pause(stop: &StopFlag, wait: Duration) {
    let until = Instant::now() + wait;
    while Instant::now() < until && !stop.requested() {
        thread::sleep(LOOK);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look_of(config: &StreamConfig) -> Look {
    Look {
        overlay: config.pipeline.overlay.clone(),
        zones: config.pipeline.zones.clone(),
        messages: config.pipeline.messages.clone(),
    }
}

/// The time of day, UTC.
fn clock(at: SystemTime) -> String {
    let s = at.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    format!("{:02}:{:02}:{:02} UTC", s / 3600 % 24, s / 60 % 60, s % 60)
}

/// Replaces what must not be shown: secrets by their key, and what logs in within addresses.
fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(table) => table.iter_mut().for_each(|(key, value)| match key.as_str() {
            "password" | "passphrase" | "token" | "key" => *value = "***".into(),
            _ => hide_secrets(value),
        }),
        Value::Array(list) => list.iter_mut().for_each(hide_secrets),
        Value::String(text) => *text = shown(text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_hold_no_secret() {
        let mut table = serde_json::json!({
            "source": {"input": "rtsp://me:hunter2@cam/1?key=hunter2", "password": "hunter2"},
            "push": [{"url": "srt://h:1?passphrase=hunter2", "passphrase": "hunter2"}],
        });
        hide_secrets(&mut table);
        let text = table.to_string();
        assert!(!text.contains("hunter2") && text.contains("rtsp://cam/1"), "{text}");
    }

    #[test]
    fn the_clock_shows_the_time_of_day() {
        assert_eq!(clock(UNIX_EPOCH + Duration::from_secs(86_400 + 3661)), "01:01:01 UTC");
    }
}
