//! Takes messages without ever holding up who gives them, keeps them in the spool, and brings them to the broker.

use super::link::{Broker, Link, PATIENCE, Parcel, Receipt, WINDOW};
use super::report::{Report, State};
use super::spool::{Record, Spool};
use super::{BrokerOptions, Message, MessageKind, Protocol};
use crate::backoff::Waits;
use crate::error::{Kind, WithKind, fault};
use crate::panics;
use crate::privacy::{Secret, shown};
use crate::source::{Login, Notices};
use anyhow::{Context, Result, anyhow};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// The queue in front of the spool, in messages and in bytes: what may come while the disk is busy.
const QUEUE_MESSAGES: usize = 8192;
const QUEUE_BYTES: u64 = 32 << 20;
/// Most bytes that were sent and not answered yet.
const WINDOW_BYTES: usize = 4 << 20;

/// Brings the messages of all streams to one broker, on a thread of its own.
///
/// When it is dropped, everything that it was given is in the spool, and the broker has had two seconds to take it.
#[derive(Debug)]
pub struct Courier {
    /// `None` when no more may come.
    inbox: Option<Sender<Message>>,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What the courier and its thread both see.
#[derive(Debug)]
struct Desk {
    sent: AtomicU64,
    lost: AtomicU64,
    /// In the queue.
    bytes: AtomicU64,
    report: Mutex<Report>,
}

/// How patient a courier is.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// First wait after a failure; it is doubled each time.
    first_wait: Duration,
    /// Longest wait.
    longest_wait: Duration,
    /// For a connection, and for the next answer while there are any to come.
    answer: Duration,
    /// At the end, for what is in the spool.
    farewell: Duration,
    /// How often it looks at the time.
    look: Duration,
}

const USUAL: Patience = Patience {
    first_wait: Duration::from_secs(1),
    longest_wait: Duration::from_secs(30),
    answer: PATIENCE,
    farewell: Duration::from_secs(2),
    look: Duration::from_millis(250),
};

impl Courier {
    /// Opens the spool and begins to connect; `notices` hears when the connection comes and goes.
    ///
    /// # Errors
    /// 78 for a spool that another one has, a login that cannot be read, or a topic of another protocol; 74 where the spool's
    /// folder cannot be used.
    pub fn start(options: &BrokerOptions, notices: Notices) -> Result<Self> {
        let address = &options.address;
        if options.topic.protocol() != address.protocol() {
            let line = format!("the topic for {address} is one of another protocol: wanted one that was read for it");
            return Err(fault(Kind::Config, line));
        }
        let login = options.credentials.resolve("broker")?.or(address.login());
        let secret = login.password.clone();
        let work = Work::new(Spool::open(&options.spool)?, address.to_string(), notices, secret);
        match address.protocol() {
            #[cfg(feature = "mqtt")]
            Protocol::Mqtt => Self::spawn(work, super::mqtt::Mqtt::new(options, login)),
            #[cfg(feature = "nats")]
            Protocol::Nats => Self::spawn(work, super::nats::Nats::new(options, login)),
            #[cfg(feature = "kafka")]
            Protocol::Kafka => Self::spawn(work, super::kafka::Kafka::new(options, login)),
            #[allow(unreachable_patterns)] // with all protocols
            other => Err(no_protocol(other, work, login)),
        }
    }

    fn spawn(work: Work, broker: impl Broker + Send + 'static) -> Result<Self> {
        let (tx, rx) = mpsc::channel(QUEUE_MESSAGES);
        let desk = work.desk.clone();
        let thread = thread::Builder::new().name("broker".into()).spawn(move || work.run(broker, rx));
        Ok(Self {
            inbox: Some(tx),
            desk,
            thread: Some(thread.context("cannot start the thread of a broker").kind(Kind::Temporary)?),
        })
    }

    /// Takes a message, at once and whatever happens to the broker.
    pub fn send(&self, message: Message) {
        let Some(inbox) = &self.inbox else { return };
        let bytes = message.bytes.len() as u64;
        self.desk.sent.fetch_add(1, Ordering::Relaxed);
        let waiting = self.desk.bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > QUEUE_BYTES || inbox.try_send(message).is_err() {
            self.desk.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.desk.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What it has done so far.
    pub fn report(&self) -> Report {
        Report {
            sent: self.desk.sent.load(Ordering::Relaxed),
            lost_to_queue: self.desk.lost.load(Ordering::Relaxed),
            ..self.desk.report().clone()
        }
    }
}

/// Unreachable for an address that was read by [`super::Address::parse`].
fn no_protocol(protocol: Protocol, work: Work, _: Login) -> anyhow::Error {
    fault(Kind::Config, format!("{}: this program was built without {protocol:?}", work.name))
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok(); // a panic was reported by the thread itself
        }
    }
}

impl Desk {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread does.
struct Work {
    name: String,
    spool: Spool,
    desk: Arc<Desk>,
    notices: Notices,
    /// What must not stand in a reason.
    secret: Option<Secret>,
    patience: Patience,
    /// Between attempts to connect.
    waits: Waits,
    /// One more than the highest number that was ever sent.
    unsent: u64,
    /// The queue is closed and empty.
    closed: bool,
}

/// Messages that were sent and not settled yet, in their order.
#[derive(Default)]
struct Window {
    flying: VecDeque<Flying>,
    bytes: usize,
    /// When the broker last said something, or had nothing to say something of.
    answered: Option<Instant>,
}

struct Flying {
    number: u64,
    bytes: usize,
    settled: bool,
}

/// What a courier woke up for.
enum Woken {
    Message(Option<Message>),
    Receipt(Result<Receipt>),
    Time,
}

impl Work {
    fn new(spool: Spool, name: String, notices: Notices, secret: Option<Secret>) -> Self {
        let desk = Desk {
            sent: AtomicU64::default(),
            lost: AtomicU64::default(),
            bytes: AtomicU64::default(),
            report: Mutex::new(Report::new(name.clone())),
        };
        let work = Self {
            name,
            spool,
            desk: Arc::new(desk),
            notices,
            secret,
            patience: USUAL,
            waits: Waits::new(USUAL.first_wait, USUAL.longest_wait),
            unsent: 0,
            closed: false,
        };
        work.count();
        work
    }

    fn run(mut self, mut broker: impl Broker, mut inbox: Receiver<Message>) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.serve(&mut broker, &mut inbox));
            runtime.shutdown_background(); // a name that is being looked up holds nobody up
            anyhow::Ok(())
        }));
        let why = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => panics::describe(&*panic),
        };
        self.disconnected(&anyhow!("this program has a defect, messages are lost from now on: {why}"), None);
    }

    async fn serve(&mut self, broker: &mut impl Broker, inbox: &mut Receiver<Message>) {
        self.waits = Waits::new(self.patience.first_wait, self.patience.longest_wait);
        while !self.closed {
            let connect = timeout(self.patience.answer, broker.connect());
            let ended = match self.meanwhile(connect, inbox).await {
                None => return,
                Some(Err(_)) => Err(anyhow!("no answer for {} s", self.patience.answer.as_secs_f64())),
                Some(Ok(Err(error))) => Err(error),
                Some(Ok(Ok(link))) => self.deliver(link, inbox).await,
            };
            self.spool.rewind();
            let Err(error) = ended else { return };
            let wait = self.waits.next();
            self.disconnected(&error, Some(wait));
            if self.meanwhile(sleep(wait), inbox).await.is_none() {
                return;
            }
        }
    }

    /// Puts into the spool what comes until `work` is done; `None` if the queue ended before.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>, inbox: &mut Receiver<Message>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut look = ticks(self.patience.look);
        loop {
            let woken = tokio::select! {
                done = &mut work => return Some(done),
                message = inbox.recv() => Woken::Message(message),
                _ = look.tick() => Woken::Time,
            };
            match woken {
                Woken::Message(message) => self.store(message, inbox),
                Woken::Receipt(_) | Woken::Time => self.spool.sync_if_due(),
            }
            self.count();
            if self.closed {
                self.spool.sync();
                return None;
            }
        }
    }

    /// Brings everything to the broker until the connection is lost, or the queue has ended and the spool is empty.
    async fn deliver(&mut self, mut link: impl Link, inbox: &mut Receiver<Message>) -> Result<()> {
        self.connected();
        let mut window = Window::default();
        let mut look = ticks(self.patience.look);
        let mut leave_at: Option<Instant> = None;
        loop {
            while window.has_room() {
                let Some(record) = self.spool.next() else { break };
                let parcel = self.parcel(record);
                window.push(&parcel);
                let sent = timeout(self.patience.answer, link.publish(parcel)).await;
                sent.map_err(|_| self.no_answer())??;
            }
            self.count();
            if leave_at.is_some_and(|at| self.spool.is_empty() || Instant::now() >= at) {
                self.spool.sync();
                return Ok(());
            }
            let woken = tokio::select! {
                receipt = link.receipt() => Woken::Receipt(receipt),
                message = inbox.recv(), if !self.closed => Woken::Message(message),
                _ = look.tick() => Woken::Time,
            };
            match woken {
                Woken::Receipt(receipt) => self.settle(receipt?, &mut window),
                Woken::Message(message) => self.store(message, inbox),
                Woken::Time => {
                    self.spool.sync_if_due();
                    if window.silent_for() > self.patience.answer {
                        return Err(self.no_answer());
                    }
                }
            }
            if self.closed && leave_at.is_none() {
                leave_at = Some(Instant::now() + self.patience.farewell);
            }
        }
    }

    fn no_answer(&self) -> anyhow::Error {
        anyhow!("no acknowledgement for {} s", self.patience.answer.as_secs_f64())
    }

    /// Takes what came, and what has come since.
    fn store(&mut self, message: Option<Message>, inbox: &mut Receiver<Message>) {
        let Some(first) = message else {
            self.closed = true;
            return;
        };
        let more = std::iter::from_fn(|| inbox.try_recv().ok());
        for message in std::iter::once(first).chain(more).take(WINDOW) {
            self.desk.bytes.fetch_sub(message.bytes.len() as u64, Ordering::Relaxed);
            self.spool.append(&payload(&message));
        }
    }

    fn parcel(&mut self, record: Record) -> Parcel {
        if record.number < self.unsent {
            self.desk.report().redelivered += 1;
        }
        self.unsent = self.unsent.max(record.number + 1);
        let (kind, stream, bytes) = taken_apart(record.payload);
        Parcel {
            number: record.number,
            id: record.id,
            stream,
            kind,
            bytes,
        }
    }

    fn settle(&mut self, receipt: Receipt, window: &mut Window) {
        let number = match receipt {
            Receipt::Acknowledged(number) => {
                self.desk.report().acknowledged += 1;
                self.waits.begin_anew();
                number
            }
            Receipt::Refused(number, why) => {
                let refused = {
                    let mut report = self.desk.report();
                    report.refused += 1;
                    report.refused
                };
                // One is worth a line; a thousand alike are a count.
                if refused.is_power_of_two() {
                    let why = self.told(&anyhow!(why));
                    self.say(format_args!("a message is left out ({refused} so far): {why}"));
                }
                number
            }
        };
        if let Some(settled) = window.settle(number) {
            self.spool.acknowledge(settled);
        }
    }

    fn connected(&mut self) {
        let was_away = {
            let mut report = self.desk.report();
            report.connections += 1;
            let before = std::mem::replace(&mut report.state, State::Connected { since: Instant::now() });
            (report.connections > 1).then(|| before.age())
        };
        match was_away {
            Some(away) => self.say(format_args!(
                "connected again after {:.1} s, {} messages waited",
                away.as_secs_f64(),
                self.spool.messages()
            )),
            None => self.say(format_args!("connected")),
        }
    }

    fn disconnected(&mut self, error: &anyhow::Error, wait: Option<Duration>) {
        let why = self.told(error);
        let is_news = {
            let mut report = self.desk.report();
            let (since, is_news) = match &report.state {
                State::Connected { .. } => (Instant::now(), true),
                State::Disconnected { since, why: before } => (*since, *before != why),
            };
            report.state = State::Disconnected { since, why: why.clone() };
            is_news
        };
        match wait {
            Some(wait) if is_news => self.say(format_args!("{why}; next attempt in {:.1} s", wait.as_secs_f64())),
            Some(_) => {}
            None => self.say(format_args!("{why}")),
        }
    }

    /// A reason in one line, without what logs in.
    fn told(&self, error: &anyhow::Error) -> String {
        let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        let line = shown(&line);
        self.secret.as_ref().map_or(line.clone(), |secret| secret.hidden_in(&line))
    }

    fn say(&self, text: std::fmt::Arguments<'_>) {
        self.notices.say(format_args!("{}: {text}", self.name));
    }

    /// Writes down how the spool is.
    fn count(&self) {
        let (losses, (disk, memory)) = (self.spool.losses(), self.spool.bytes());
        let mut report = self.desk.report();
        report.lost_to_bound = losses.bound;
        report.damaged = losses.damaged;
        report.torn_bytes = losses.torn_bytes;
        report.disk_failures = losses.disk_failures;
        report.spooled_messages = self.spool.messages();
        report.spooled_bytes = disk;
        report.memory_bytes = memory;
    }
}

impl Window {
    fn has_room(&self) -> bool {
        self.flying.len() < WINDOW && self.bytes < WINDOW_BYTES
    }

    fn push(&mut self, parcel: &Parcel) {
        if self.flying.is_empty() {
            self.answered = Some(Instant::now());
        }
        self.bytes += parcel.bytes.len();
        self.flying.push_back(Flying {
            number: parcel.number,
            bytes: parcel.bytes.len(),
            settled: false,
        });
    }

    /// The number up to which everything is settled, if that has grown.
    fn settle(&mut self, number: u64) -> Option<u64> {
        self.answered = Some(Instant::now());
        if let Ok(at) = self.flying.binary_search_by_key(&number, |flying| flying.number) {
            self.flying[at].settled = true;
        }
        let mut settled = None;
        while let Some(flying) = self.flying.pop_front_if(|flying| flying.settled) {
            self.bytes -= flying.bytes;
            settled = Some(flying.number);
        }
        settled
    }

    /// How long the broker has owed an answer.
    fn silent_for(&self) -> Duration {
        match self.answered {
            Some(at) if !self.flying.is_empty() => at.elapsed(),
            _ => Duration::ZERO,
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A message as the spool keeps it: kind, length of the stream's name, name, message.
fn payload(message: &Message) -> Vec<u8> {
    let kind = [match message.kind {
        MessageKind::Frame => 0,
        MessageKind::Event => 1,
    }];
    let length = (message.stream.len() as u32).to_le_bytes();
    [&kind[..], &length, message.stream.as_bytes(), &message.bytes].concat()
}

/// The same the other way round. Whole records were all made by [`payload`]; of anything else the bytes are kept.
fn taken_apart(mut payload: Vec<u8>) -> (MessageKind, String, Vec<u8>) {
    let Some(([kind, length @ ..], rest)) = payload.split_first_chunk::<5>() else {
        return (MessageKind::Frame, String::new(), payload);
    };
    let kind = if *kind == 1 { MessageKind::Event } else { MessageKind::Frame };
    let length = (u32::from_le_bytes(*length) as usize).min(rest.len());
    let stream = String::from_utf8_lossy(&rest[..length]).into_owned();
    payload.drain(..5 + length);
    (kind, stream, payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::SpoolOptions;
    use tempfile::TempDir;

    const QUICK: Patience = Patience {
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
        answer: Duration::from_millis(200),
        farewell: Duration::from_millis(500),
        look: Duration::from_millis(10),
    };

    /// What a broker does to us, connection by connection; it behaves when there is no more.
    #[derive(Clone, Copy, PartialEq)]
    enum Mood {
        /// It does not let us in.
        Refuses,
        /// It never lets us in.
        Hangs,
        /// It takes so many messages, answers half of them, and goes.
        LeavesAfter(usize),
        /// It takes everything and answers nothing.
        IsSilent,
    }

    #[derive(Clone, Default)]
    struct Mock(Arc<Mutex<Seen>>);

    #[derive(Default)]
    struct Seen {
        moods: VecDeque<Mood>,
        got: Vec<Parcel>,
        /// Messages with these bytes are refused.
        dislikes: Option<Vec<u8>>,
        /// Answers come last message first.
        backwards: bool,
    }

    struct MockLink {
        mock: Mock,
        mood: Option<Mood>,
        taken: usize,
        answers: VecDeque<Receipt>,
        backwards: bool,
    }

    impl Mock {
        fn with(moods: &[Mood]) -> Self {
            let mock = Self::default();
            mock.seen().moods.extend(moods);
            mock
        }

        fn seen(&self) -> MutexGuard<'_, Seen> {
            self.0.lock().unwrap()
        }

        fn texts(&self) -> Vec<String> {
            let seen = self.seen();
            seen.got.iter().map(|p| String::from_utf8(p.bytes.clone()).unwrap()).collect()
        }
    }

    impl Broker for Mock {
        type Link = MockLink;

        async fn connect(&mut self) -> Result<MockLink> {
            let mood = self.seen().moods.pop_front();
            match mood {
                Some(Mood::Refuses) => return Err(anyhow!("mqtt://me:hunter22@broker refuses hunter22")),
                Some(Mood::Hangs) => std::future::pending().await,
                _ => {}
            }
            Ok(MockLink {
                mock: self.clone(),
                mood,
                taken: 0,
                answers: VecDeque::new(),
                backwards: self.seen().backwards,
            })
        }
    }

    impl Link for MockLink {
        async fn publish(&mut self, parcel: Parcel) -> Result<()> {
            let mut seen = self.mock.seen();
            self.taken += 1;
            let receipt = match &seen.dislikes {
                Some(bytes) if *bytes == parcel.bytes => Receipt::Refused(parcel.number, "it is ugly".into()),
                _ => Receipt::Acknowledged(parcel.number),
            };
            seen.got.push(parcel);
            match self.mood {
                Some(Mood::LeavesAfter(most)) if self.taken > most => return Err(anyhow!("gone")),
                Some(Mood::LeavesAfter(_)) if self.taken.is_multiple_of(2) => {}
                Some(Mood::IsSilent) => {}
                _ if self.backwards => self.answers.push_front(receipt),
                _ => self.answers.push_back(receipt),
            }
            Ok(())
        }

        async fn receipt(&mut self) -> Result<Receipt> {
            match self.answers.pop_front() {
                Some(receipt) => Ok(receipt),
                None => std::future::pending().await,
            }
        }
    }

    fn start(folder: &TempDir, mock: &Mock, notices: Notices) -> Courier {
        let options = SpoolOptions {
            folder: folder.path().join("spool"),
            max_bytes: SpoolOptions::LEAST_BYTES,
        };
        let spool = Spool::open(&options).unwrap();
        let mut work = Work::new(spool, "mqtt://broker:1883".into(), notices, Some(Secret::new("hunter22")));
        work.patience = QUICK;
        Courier::spawn(work, mock.clone()).unwrap()
    }

    fn message(text: &str) -> Message {
        Message {
            stream: "cam \n/+#".into(),
            kind: MessageKind::Event,
            bytes: text.into(),
        }
    }

    fn until(courier: &Courier, is_so: impl Fn(&Report) -> bool) -> Report {
        let begun = Instant::now();
        loop {
            let report = courier.report();
            if is_so(&report) {
                return report;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{report:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn numbers(n: usize) -> Vec<String> {
        (0..n).map(|n| n.to_string()).collect()
    }

    #[test]
    fn everything_arrives_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mock = Mock::default();
        let courier = start(&folder, &mock, Notices::default());
        numbers(1000).iter().for_each(|n| courier.send(message(n)));
        let report = until(&courier, |report| report.acknowledged == 1000);
        assert_eq!((report.sent, report.redelivered, report.spooled_messages), (1000, 0, 0));
        assert!(report.state.is_connected());
        assert_eq!(mock.texts(), numbers(1000));
        let seen = mock.seen();
        assert!(seen.got.iter().all(|p| p.stream == "cam \n/+#" && p.kind == MessageKind::Event));
        let mut ids: Vec<_> = seen.got.iter().map(|p| &p.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn a_broker_that_refuses_hangs_leaves_and_forgets_to_answer_loses_nothing() {
        let moods = [
            Mood::Refuses,
            Mood::LeavesAfter(7),
            Mood::Hangs,
            Mood::LeavesAfter(40),
            Mood::IsSilent,
            Mood::LeavesAfter(0),
            Mood::Refuses,
        ];
        for backwards in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mock = Mock::with(&moods);
            mock.seen().backwards = backwards;
            let courier = start(&folder, &mock, Notices::default());
            numbers(500).iter().for_each(|n| courier.send(message(n)));
            let report = until(&courier, |report| report.spooled_messages == 0 && report.connections == 5);
            let mut got = mock.texts();
            assert_eq!(got.len(), 500 + report.redelivered as usize);
            assert!(report.redelivered >= 128, "a silent broker had a whole window: {report:?}");
            assert_eq!(report.sent, 500);
            // A duplicate has the id of its message, so that those who know the ids see each message once.
            let seen = mock.seen();
            let mut ids: Vec<_> = seen.got.iter().map(|p| (&p.id, &p.bytes)).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), 500);
            got.sort();
            got.dedup();
            assert_eq!(got.len(), 500);
        }
    }

    #[test]
    fn what_waits_for_a_broker_that_never_comes_is_there_in_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let away = Mock::with(&[Mood::Hangs]);
        let courier = start(&folder, &away, Notices::default());
        numbers(300).iter().for_each(|n| courier.send(message(n)));
        drop(courier); // at once, with the queue still full
        assert_eq!(away.texts(), [] as [&str; 0]);
        let mock = Mock::default();
        let courier = start(&folder, &mock, Notices::default());
        courier.send(message("300"));
        let report = until(&courier, |report| report.acknowledged == 301);
        assert_eq!((report.sent, report.redelivered), (1, 0));
        assert_eq!(mock.texts(), numbers(301));
    }

    #[test]
    fn the_farewell_brings_what_is_left_and_waits_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let mock = Mock::default();
        let courier = start(&folder, &mock, Notices::default());
        until(&courier, |report| report.state.is_connected());
        numbers(300).iter().for_each(|n| courier.send(message(n)));
        drop(courier);
        assert_eq!(mock.texts(), numbers(300));
        let silent = Mock::with(&[Mood::IsSilent]);
        let courier = start(&folder, &silent, Notices::default());
        until(&courier, |report| report.state.is_connected());
        courier.send(message("300"));
        let begun = Instant::now();
        drop(courier);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_message_that_the_broker_will_never_take_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let mock = Mock::default();
        mock.seen().dislikes = Some(b"3".to_vec());
        let courier = start(&folder, &mock, Notices::default());
        numbers(10).iter().for_each(|n| courier.send(message(n)));
        let report = until(&courier, |report| report.spooled_messages == 0 && report.acknowledged == 9);
        assert_eq!((report.refused, report.redelivered), (1, 0));
    }

    #[test]
    fn reasons_are_told_once_and_without_what_logs_in() {
        let folder = tempfile::tempdir().unwrap();
        let mock = Mock::with(&[Mood::Refuses; 6]);
        let told = Arc::new(Mutex::new(Vec::new()));
        let lines = told.clone();
        let courier = start(&folder, &mock, Notices::to(move |line| lines.lock().unwrap().push(line.to_owned())));
        let report = until(&courier, |report| report.state.is_connected());
        assert_eq!(report.connections, 1);
        let told = told.lock().unwrap();
        let [refused, connected] = &told[..] else { panic!("{told:?}") };
        assert!(
            refused.starts_with("mqtt://broker:1883: mqtt://broker refuses ***; next attempt in"),
            "{refused}"
        );
        assert_eq!(connected, "mqtt://broker:1883: connected");
    }

    #[test]
    fn a_report_is_json_with_its_state() {
        let mut report = Report::new("mqtt://broker:1883".into());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&json["state"], &json["why"]),
            (&"disconnected".into(), &"not connected yet".into())
        );
        assert!(json["for_s"].as_f64().is_some_and(|s| s < 10.0));
        report.state = State::Connected { since: Instant::now() };
        assert_eq!(serde_json::to_value(&report).unwrap()["state"], "connected");
    }
}
