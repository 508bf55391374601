//! The host: all streams of the process.

use super::events::{Events, Happening};
use super::lines;
use super::nets::Nets;
use super::stream::{LineTaker, Stream};
use crate::broker::{self, BrokerOptions, Courier, Message, MessageKind};
use crate::config::serve::{ServeConfig, Shared, StreamConfig};
use crate::error::{Kind, fault};
use crate::pipeline::hosting::Lender;
use crate::privacy::shown;
use crate::publish::View;
use crate::publish::rtsp::{Mount, RtspServer};
use crate::publish::webrtc::WebRtc;
use crate::source::{Notices, is_address, unsupported};
use anyhow::Result;
use maskline_models::builtin;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// All streams of the process.
pub struct Host {
    shared: Shared,
    /// What the file says beside the streams.
    fixed: ServeConfig,
    file: PathBuf,
    nets: Arc<dyn Lender>,
    events: Arc<Events>,
    lines: Vec<LineTaker>,
    couriers: Arc<Vec<Courier>>,
    rtsp: Option<Arc<RtspServer>>,
    webrtc: WebRtc,
    streams: RwLock<BTreeMap<String, Entry>>,
}

struct Entry {
    stream: Arc<Stream>,
    /// Stands in the file, and follows it when it is read again.
    from_file: bool,
    /// Its addresses at the RTSP server.
    _mount: Option<Mount>,
}

/// Keys of a stream's table that only the file may hold: they name places on this machine.
const ONLY_IN_FILE: [&str; 8] = ["record", "hls", "push", "window", "file", "password_file", "contract", "cache"];

impl Host {
    /// Starts every stream of a configuration.
    ///
    /// # Errors
    /// If threads cannot be had. What is wrong with a stream is a matter of that stream.
    pub fn start(config: ServeConfig) -> Result<Arc<Self>> {
        let nets = Arc::new(Nets::new(config.shared.batching));
        Self::start_with(config, nets)
    }

    /// The same with these nets.
    pub(super) fn start_with(config: ServeConfig, nets: Arc<dyn Lender>) -> Result<Arc<Self>> {
        let fixed = beside_streams(&config);
        let events = Arc::<Events>::default();
        let couriers = couriers(&config.brokers, &events)?;
        let host = Self {
            nets,
            events,
            lines: lines_to(&couriers),
            couriers,
            rtsp: config.rtsp.map(|rtsp| RtspServer::start(&rtsp.options()?)).transpose()?,
            webrtc: WebRtc::new(config.webrtc),
            streams: RwLock::default(),
            file: config.file,
            fixed,
            shared: config.shared,
        };
        for stream in config.streams {
            host.begin(stream, true)?;
        }
        Ok(Arc::new(host))
    }

    fn begin(&self, config: StreamConfig, from_file: bool) -> Result<Arc<Stream>> {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        let (name, most) = (config.name.clone(), self.shared.most_streams);
        if streams.contains_key(&name) {
            return Err(fault(Kind::Usage, format!("there is a stream {name:?} already: give another name")));
        }
        if streams.len() >= most {
            let text = format!("there are {most} streams already, the most there may be: remove one, or set max_streams in [execution]");
            return Err(fault(Kind::Temporary, text));
        }
        let mut takers = self.lines.clone();
        if let Some(file) = &config.lines {
            takers.push(lines::to_file(file, self.events.clone())?);
        }
        let stream = Stream::start(config, self.nets.clone(), self.events.clone(), takers)?;
        let entry = Entry {
            stream: stream.clone(),
            from_file,
            _mount: self.rtsp.as_ref().map(|rtsp| rtsp.mount(&name, stream.coders())),
        };
        streams.insert(name, entry);
        Ok(stream)
    }

    /// All streams, in the order of their names.
    pub fn streams(&self) -> Vec<Arc<Stream>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.values().map(|entry| entry.stream.clone()).collect()
    }

    /// The stream of that name.
    pub fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(name).map(|entry| entry.stream.clone())
    }

    fn known(&self, name: &str) -> Result<Arc<Stream>> {
        let unknown = || fault(Kind::BadInput, format!("there is no stream {name:?}"));
        self.stream(name).ok_or_else(unknown)
    }

    /// Adds a stream; `wanted` has the keys of a `[[stream]]` table. It stays until it is removed or the process ends.
    ///
    /// # Errors
    /// 64 with everything that is wrong with it, 75 where there are too many.
    pub fn add(&self, wanted: &Value) -> Result<Arc<Stream>> {
        check_foreign(wanted, None)?;
        let config = self.read(wanted)?;
        let stream = self.begin(config, false)?;
        self.tell(Some(stream.name()), "added");
        Ok(stream)
    }

    /// Changes a stream: a JSON merge patch (RFC 7396) on its table.
    ///
    /// # Errors
    /// 65 for a stream that there is not, 64 with everything that is wrong with the change; then nothing has changed.
    pub fn patch(&self, name: &str, change: &Value) -> Result<()> {
        let stream = self.known(name)?;
        check_foreign(change, Some(name))?;
        let mut table = stream.table();
        merge(&mut table, change);
        stream.apply(self.read(&table)?)?;
        self.tell(Some(name), "changed");
        Ok(())
    }

    /// Ends a stream and forgets it.
    ///
    /// # Errors
    /// 65 for a stream that there is not.
    pub fn remove(&self, name: &str) -> Result<()> {
        let stream = self.known(name)?;
        self.streams.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        stream.remove();
        self.tell(Some(name), "removed");
        Ok(())
    }

    /// Reads the file again: streams that are new there begin, those that are gone end, those that changed follow. What came
    /// through the API stays. Gives a line for everything that was done.
    ///
    /// # Errors
    /// Those of [`ServeConfig::load`]; then nothing has changed.
    pub fn reload(&self) -> Result<Vec<String>> {
        let new = ServeConfig::load(&self.file)?;
        let mut done = Vec::new();
        if beside_streams(&new) != self.fixed {
            done.push(
                "what all streams share ([model], [execution], [server], [rtsp], [webrtc], [[broker]]) has changed: that needs a new start"
                    .into(),
            );
        }
        let gone: Vec<_> = {
            let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
            let is_gone = |(name, entry): &(&String, &Entry)| entry.from_file && !new.streams.iter().any(|s| s.name == **name);
            streams.iter().filter(is_gone).map(|(name, _)| name.clone()).collect()
        };
        for name in gone {
            self.remove(&name)?;
            done.push(format!("{name}: removed"));
        }
        for config in new.streams {
            let name = config.name.clone();
            let outcome = match self.stream(&name) {
                None => self.begin(config, true).map(|_| "added"),
                Some(stream) if stream.table() == serde_json::to_value(&config.table).unwrap_or_default() => continue,
                // Its lines go to another file, which only a new stream has.
                Some(stream) if stream.lines() != config.lines => {
                    self.remove(&name)?;
                    self.begin(config, true).map(|_| "begun anew")
                }
                Some(stream) => stream.apply(config).map(|()| "changed"),
            };
            done.push(match outcome {
                Ok(what) => format!("{name}: {what}"),
                Err(error) => format!("{name}: {error:#}"),
            });
        }
        done.iter().for_each(|line| self.tell(None, line));
        Ok(done)
    }

    /// Where the RTSP server shows a view of a stream, if there is one.
    pub(crate) fn rtsp_url(&self, name: &str, view: View) -> Option<String> {
        Some(self.rtsp.as_ref()?.url(name, view))
    }

    /// How many clients the RTSP server has.
    pub(crate) fn rtsp_clients(&self) -> usize {
        self.rtsp.as_ref().map_or(0, |rtsp| rtsp.clients())
    }

    /// Browsers that watch.
    pub(crate) fn webrtc(&self) -> &WebRtc {
        &self.webrtc
    }

    /// How the connections to brokers are, in the order of the file.
    pub fn brokers(&self) -> Vec<broker::Report> {
        self.couriers.iter().map(Courier::report).collect()
    }

    /// What happened.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Whether every stream is live and its frames are shown; else which is not.
    ///
    /// # Errors
    /// One line for every stream that is not.
    pub fn is_ready(&self) -> Result<(), String> {
        all(self.streams().iter().map(|stream| stream.is_ready()))
    }

    /// Whether every frame that comes in is shown: a source that is gone is no fault of this program.
    ///
    /// # Errors
    /// One line for every stream whose frames do not move although its source is live.
    pub fn is_healthy(&self) -> Result<(), String> {
        all(self.streams().iter().map(|stream| stream.is_healthy()))
    }

    /// Ends all streams.
    pub fn end(&self) {
        let streams = std::mem::take(&mut *self.streams.write().unwrap_or_else(PoisonError::into_inner));
        // All at once: each may take its time.
        std::thread::scope(|threads| {
            for entry in streams.values() {
                threads.spawn(|| entry.stream.remove());
            }
        });
    }

    fn read(&self, table: &Value) -> Result<StreamConfig> {
        let wrong = |why: String| fault(Kind::Usage, shown(&why));
        let table = toml::Table::try_from(table).map_err(|e| wrong(format!("found no table of a stream: {e}")))?;
        let base = self.file.parent().unwrap_or(Path::new(""));
        StreamConfig::from_table(&table, base, &self.shared).map_err(wrong)
    }

    fn tell(&self, stream: Option<&str>, what: &str) {
        let what = Happening::Config { what: what.to_owned() };
        self.events.add(stream, None, what);
    }
}

/// The configuration without its streams.
fn beside_streams(config: &ServeConfig) -> ServeConfig {
    ServeConfig {
        streams: Vec::new(),
        ..config.clone()
    }
}

/// One courier for each broker; events go to all of them.
fn couriers(options: &[BrokerOptions], events: &Arc<Events>) -> Result<Arc<Vec<Courier>>> {
    let start = |options: &BrokerOptions| {
        let events = events.clone();
        let say = move |line: &str| events.add(None, None, Happening::Output { what: line.into() });
        Courier::start(options, Notices::to(say))
    };
    let couriers = Arc::new(options.iter().map(start).collect::<Result<Vec<_>>>()?);
    // Weak, since couriers tell events of themselves.
    let to = Arc::downgrade(&couriers);
    events.hand_to(move |event| {
        let (Some(couriers), Some(stream)) = (to.upgrade(), &event.stream) else {
            return;
        };
        let Ok(bytes) = serde_json::to_vec(event) else { return };
        give_all(&couriers, &stream.as_str().into(), MessageKind::Event, &bytes);
    });
    Ok(couriers)
}

/// What takes the lines of all streams to the brokers; nothing where there is none.
fn lines_to(couriers: &Arc<Vec<Courier>>) -> Vec<LineTaker> {
    if couriers.is_empty() {
        return Vec::new();
    }
    let couriers = couriers.clone();
    vec![Arc::new(move |stream: &Arc<str>, line: &[u8]| {
        give_all(&couriers, stream, MessageKind::Frame, line);
    })]
}

fn give_all(couriers: &[Courier], stream: &Arc<str>, kind: MessageKind, bytes: &[u8]) {
    for courier in couriers {
        let (stream, bytes) = (stream.clone(), bytes.to_vec());
        courier.send(Message { stream, kind, bytes });
    }
}

fn all(checks: impl Iterator<Item = Result<(), String>>) -> Result<(), String> {
    let problems: Vec<_> = checks.filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Refuses what whoever talks to the API may not say: it shall neither read nor write files of this machine, nor make it give
/// away its environment. `name` is that of the stream, where there is one.
fn check_foreign(value: &Value, name: Option<&str>) -> Result<()> {
    let refuse = |text: String| Err(fault(Kind::Usage, text));
    let Some(table) = value.as_object() else {
        return refuse("found no object, wanted one with the keys of a [[stream]] table".into());
    };
    if let (Some(name), Some(other)) = (name, table.get("name"))
        && other != name
    {
        return refuse(format!("found the name {other}, wanted {name:?}: a stream keeps its name"));
    }
    if let Some(input) = value.pointer("/source/input").and_then(Value::as_str)
        && !(is_address(input) || input.starts_with("test:"))
    {
        return refuse("source.input is a file, wanted an address, device: or test:; files stand in the pipeline file".into());
    }
    if let Some(model) = value.pointer("/model/name").and_then(Value::as_str)
        && !builtin::names().contains(&model.trim_start_matches("builtin:"))
    {
        return refuse(format!(
            "found the model {model:?}, wanted a built-in one: {}; files stand in the pipeline file",
            builtin::names().join(", ")
        ));
    }
    if let Some(why) = value.pointer("/source/input").and_then(Value::as_str).and_then(unsupported) {
        return refuse(why);
    }
    fn walk(value: &Value) -> Option<String> {
        match value {
            Value::Object(table) => table.iter().find_map(|(key, value)| match ONLY_IN_FILE.contains(&key.as_str()) {
                true => Some(format!("found {key:?}, which only the pipeline file may hold")),
                false => walk(value),
            }),
            Value::Array(list) => list.iter().find_map(walk),
            Value::String(text) if text.contains("${") => Some("found ${, which only the pipeline file may hold".into()),
            _ => None,
        }
    }
    walk(value).map_or(Ok(()), refuse)
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            value => merge(target.entry(key).or_insert(Value::Null), value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_does_what_the_rfc_says() {
        let mut table = json!({"a": "b", "c": {"d": "e", "f": "g"}, "l": [1]});
        merge(&mut table, &json!({"a": "z", "c": {"f": null, "n": {"x": null}}, "l": [2, 3]}));
        assert_eq!(table, json!({"a": "z", "c": {"d": "e", "n": {}}, "l": [2, 3]}));
    }

    #[test]
    fn the_api_names_no_file_and_gives_no_environment_away() {
        for wrong in [
            json!({"name": "a", "source": {"input": "/etc/passwd"}}),
            json!({"name": "a", "source": {"input": "rtsp://cam/1", "password_file": "/etc/shadow"}}),
            json!({"name": "a", "source": {"input": "rtsp://cam/1", "password": "${HOME}"}}),
            json!({"name": "a", "source": {"input": "test:"}, "record": [{"folder": "/"}]}),
            json!({"name": "a", "source": {"input": "test:"}, "model": {"name": "/tmp/net.onnx"}}),
            json!({"name": "a", "source": {"input": "test:"}, "messages": {"file": "/tmp/x"}}),
            json!(["a"]),
        ] {
            assert!(check_foreign(&wrong, None).is_err(), "{wrong}");
        }
        check_foreign(&json!({"name": "a", "source": {"input": "rtsp://cam/1", "password": "x"}}), None).unwrap();
        check_foreign(&json!({"overlay": {"alpha": 0.1}}), Some("a")).unwrap();
        assert!(check_foreign(&json!({"name": "b"}), Some("a")).is_err());
    }
}
