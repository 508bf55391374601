//! What a page shows of a stream: small JPEGs of the masked picture, or pairs of the plain picture and its class map. Each is
//! made only while somebody looks at it, once for all who do; whoever is slow misses pictures and holds up nobody.

mod jpeg;
mod message;

use super::{Next, RawWanted, Screen, Shown, Subscription};
use anyhow::{Context, Result};
use axum::body::Bytes;
use jpeg::JpegCoder;
use maskline_models::Class;
use maskline_models::classes::palette;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the thread waits for a picture before it looks whether anybody is still there.
const LOOK: Duration = Duration::from_millis(200);
/// Pictures a second at least, where less is asked for.
const SLOWEST: f64 = 0.01;
/// How long no picture is tried after one that could not be made.
const PAUSE: Duration = Duration::from_secs(2);

/// How much a page gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PreviewOptions {
    /// Pictures a second at most.
    pub fps: f64,
    /// Pixels in a row at most.
    pub width: u32,
    /// Quality of JPEG, 1-100.
    pub quality: u32,
}

impl Default for PreviewOptions {
    fn default() -> Self {
        Self {
            fps: 10.0,
            width: 960,
            quality: 80,
        }
    }
}

/// What is told beside a picture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Status {
    /// The state of the source, such as `live`.
    pub state: String,
    /// For each zone whether one of its rules is on.
    pub zones_on: Vec<bool>,
}

/// Tells the status of the moment that is shown.
pub(crate) type StatusOf = Box<dyn Fn(&Shown) -> Status + Send + Sync>;

/// A picture of the masked stream.
#[derive(Debug)]
pub(crate) struct Masked {
    pub index: u64,
    pub pts_ns: u64,
    pub filler: bool,
    /// A whole JPEG file.
    pub jpeg: Bytes,
}

/// The plain picture and the class map of one frame, as one message (docs/formats.md, "What a page gets").
#[derive(Debug)]
pub(crate) struct Pair {
    pub message: Bytes,
}

/// Makes previews of one stream while there are viewers.
pub(crate) struct Preview {
    screen: Arc<Screen>,
    options: PreviewOptions,
    palette: Vec<u8>,
    status: StatusOf,
    wishes: Mutex<Wishes>,
    masked: watch::Sender<Newest<Masked>>,
    pair: watch::Sender<Newest<Pair>>,
    encoded: AtomicU64,
    /// Of whoever made this, so that the log names the stream.
    span: tracing::Span,
}

/// What is there for viewers of one kind.
#[derive(Debug)]
enum Newest<T> {
    Nothing,
    Item(Arc<T>),
    End,
}

#[derive(Default)]
struct Wishes {
    masked: usize,
    pair: usize,
    /// There while there are viewers of pairs.
    raw: Option<RawWanted>,
    running: bool,
    ended: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Masked,
    Pair,
}

/// One viewer. Pictures are made for it as long as it lives.
pub(crate) struct Viewer<T> {
    rx: watch::Receiver<Newest<T>>,
    _wish: Wish,
}

struct Wish {
    preview: Arc<Preview>,
    kind: Kind,
}

impl<T> Viewer<T> {
    /// The newest picture that this viewer has not had; `None` after the end of the stream.
    pub async fn next(&mut self) -> Option<Arc<T>> {
        loop {
            self.rx.changed().await.ok()?;
            match &*self.rx.borrow_and_update() {
                Newest::Nothing => {}
                Newest::Item(item) => return Some(item.clone()),
                Newest::End => return None,
            }
        }
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        self.preview.leave(self.kind);
    }
}

impl Preview {
    /// Previews of what `screen` shows, in the colours of `classes`.
    pub fn new(screen: Arc<Screen>, classes: &[Class], options: PreviewOptions, status: StatusOf) -> Arc<Self> {
        Arc::new(Self {
            screen,
            options,
            palette: palette(classes).concat(),
            status,
            wishes: Mutex::default(),
            masked: watch::Sender::new(Newest::Nothing),
            pair: watch::Sender::new(Newest::Nothing),
            encoded: AtomicU64::new(0),
            span: tracing::Span::current(),
        })
    }

    /// A viewer of the masked stream.
    ///
    /// # Errors
    /// 70 where no thread can be had.
    pub fn masked(self: &Arc<Self>) -> Result<Viewer<Masked>> {
        let _wish = self.enter(Kind::Masked)?;
        let mut rx = self.masked.subscribe();
        // What is there already is new to it.
        rx.mark_changed();
        Ok(Viewer { rx, _wish })
    }

    /// A viewer of plain pictures with their class maps.
    ///
    /// # Errors
    /// 70 where no thread can be had.
    pub fn pair(self: &Arc<Self>) -> Result<Viewer<Pair>> {
        let _wish = self.enter(Kind::Pair)?;
        let mut rx = self.pair.subscribe();
        rx.mark_changed();
        Ok(Viewer { rx, _wish })
    }

    /// How many JPEGs were made.
    #[cfg(test)]
    pub fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, kind: Kind) -> Result<Wish> {
        let mut wishes = self.wishes();
        if !wishes.running && !wishes.ended {
            // From here on, so that what is shown while the thread starts is not lost.
            let (preview, shown) = (self.clone(), self.screen.hub.subscribe(1));
            let thread = thread::Builder::new().name("preview".into()).spawn(move || preview.run(&shown));
            thread.context("cannot start a thread for the preview")?;
            wishes.running = true;
        }
        match kind {
            Kind::Masked => wishes.masked += 1,
            Kind::Pair => {
                wishes.pair += 1;
                wishes.raw.get_or_insert_with(|| self.screen.want_raw());
            }
        }
        Ok(Wish {
            preview: self.clone(),
            kind,
        })
    }

    fn leave(&self, kind: Kind) {
        let mut wishes = self.wishes();
        // Whoever comes after the last viewer shall not see what that one saw.
        match kind {
            Kind::Masked => {
                wishes.masked -= 1;
                if wishes.masked == 0 && !wishes.ended {
                    self.masked.send_replace(Newest::Nothing);
                }
            }
            Kind::Pair => {
                wishes.pair -= 1;
                if wishes.pair == 0 {
                    wishes.raw = None;
                    if !wishes.ended {
                        self.pair.send_replace(Newest::Nothing);
                    }
                }
            }
        }
    }

    /// The thread: from the first viewer until the last has left or the stream ends.
    fn run(&self, screen: &Subscription<Shown>) {
        let _in = self.span.enter();
        let mut pace = Pace::new(self.options.fps);
        let mut coders = Coders::new(&self.options);
        loop {
            let next = screen.next(LOOK);
            let (masked, pair) = {
                let mut wishes = self.wishes();
                if matches!(next, Next::End) {
                    (wishes.running, wishes.ended) = (false, true);
                    self.masked.send_replace(Newest::End);
                    self.pair.send_replace(Newest::End);
                    return;
                }
                if wishes.masked + wishes.pair == 0 {
                    wishes.running = false;
                    return;
                }
                (wishes.masked > 0, wishes.pair > 0)
            };
            let Next::Item(shown) = next else { continue };
            if !pace.admits(Instant::now()) {
                continue;
            }
            if let Err(error) = self.show(&shown, &mut coders, masked, pair) {
                tracing::warn!("the preview has no picture: {error:#}; it tries again in {} s", PAUSE.as_secs());
                coders = Coders::new(&self.options);
                pace.pause(Instant::now() + PAUSE);
            }
        }
    }

    fn show(&self, shown: &Shown, coders: &mut Coders, masked: bool, pair: bool) -> Result<()> {
        // Frames that were under way when the first viewer of pairs came have no plain picture.
        let pair = pair && (shown.filler || shown.raw.is_some());
        let mut jpeg = None;
        if masked || (pair && shown.filler) {
            jpeg = Some(Bytes::from(coders.masked.encode(&shown.masked)?));
            self.encoded.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(jpeg) = jpeg.clone().filter(|_| masked) {
            let (index, pts_ns, filler) = (shown.index, shown.pts_ns, shown.filler);
            let item = Arc::new(Masked {
                index,
                pts_ns,
                filler,
                jpeg,
            });
            self.publish(&self.masked, item, |wishes| wishes.masked);
        }
        if pair {
            let jpeg = match &shown.raw {
                Some(raw) if !shown.filler => {
                    self.encoded.fetch_add(1, Ordering::Relaxed);
                    Bytes::from(coders.raw.encode(raw)?)
                }
                _ => jpeg.unwrap_or_default(),
            };
            let message = Bytes::from(message::write(shown, &(self.status)(shown), &self.palette, &jpeg)?);
            let item = Arc::new(Pair { message });
            self.publish(&self.pair, item, |wishes| wishes.pair);
        }
        Ok(())
    }

    /// Hands an item out if there is still somebody to take it.
    fn publish<T>(&self, to: &watch::Sender<Newest<T>>, item: Arc<T>, viewers: impl Fn(&Wishes) -> usize) {
        let wishes = self.wishes();
        if viewers(&wishes) > 0 {
            to.send_replace(Newest::Item(item));
        }
    }
}

/// One for each kind of picture, since they may differ in format.
struct Coders {
    masked: JpegCoder,
    raw: JpegCoder,
}

impl Coders {
    fn new(options: &PreviewOptions) -> Self {
        let coder = || JpegCoder::new(options.width, options.quality);
        Self {
            masked: coder(),
            raw: coder(),
        }
    }
}

/// Lets so many pictures a second pass.
struct Pace {
    period: Duration,
    due: Option<Instant>,
}

impl Pace {
    fn new(fps: f64) -> Self {
        Self {
            period: Duration::from_secs_f64(1.0 / fps.max(SLOWEST)),
            due: None,
        }
    }

    fn admits(&mut self, now: Instant) -> bool {
        let due = self.due.unwrap_or(now);
        // A stream of just this rate comes a little early as often as late.
        if now + self.period / 4 < due {
            return false;
        }
        // After a gap nothing is made up for.
        self.due = Some((due + self.period).max(now));
        true
    }

    fn pause(&mut self, until: Instant) {
        self.due = Some(until);
    }
}

#[cfg(test)]
mod tests;
