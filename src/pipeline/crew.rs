//! The threads of a run: started, watched and waited for.
//!
//! When a stage ends, fails or panics, the source is asked to stop; the other stages see their queues close. The earliest
//! failure is what the run reports.

use crate::error::{Kind, fault};
use crate::panics;
use crate::source::StopFlag;
use crate::stats::Stage;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the end of a stage is waited for before a look at whether somebody asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Remembers the first failure. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<anyhow::Error>>>);

impl Verdict {
    /// Whether a stage has failed, so that what is left must not be taken for a complete run.
    pub fn failed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn note(&self, error: anyhow::Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn take(&self) -> Option<anyhow::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The threads of one run.
pub(super) struct Crew {
    stop: StopFlag,
    verdict: Verdict,
    ended: (Sender<Stage>, Receiver<Stage>),
    at_work: Vec<Stage>,
    /// Dropped to tell the stage behind the source to go on without it.
    leave: Option<Sender<()>>,
    left: Receiver<()>,
    /// How long a source may take to stop.
    grace: Duration,
}

impl Crew {
    pub fn new(stop: StopFlag, grace: Duration) -> Self {
        let (leave, left) = bounded(0);
        Self {
            stop,
            verdict: Verdict::default(),
            ended: unbounded(), // one message a stage
            at_work: Vec::new(),
            leave: Some(leave),
            left,
            grace,
        }
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    /// Closes when the source did not stop in time and the stage behind it must take its queue for closed.
    pub fn source_left(&self) -> Receiver<()> {
        self.left.clone()
    }

    /// Starts a stage on its own thread. `body` is called once; what it owns is dropped after its failure is known, so that the
    /// next stage, whose queue closes then, can tell a failure from the end.
    pub fn spawn(&mut self, stage: Stage, mut body: impl FnMut() -> Result<()> + Send + 'static) -> Result<()> {
        let (verdict, stop, ended) = (self.verdict.clone(), self.stop.clone(), self.ended.0.clone());
        let work = move || {
            let outcome = catch_unwind(AssertUnwindSafe(&mut body)).unwrap_or_else(|payload| {
                let said = panics::describe(&*payload);
                let line = format!("the {stage} stage broke down: {said}; this is a defect of maskline, please report it");
                Err(fault(Kind::Internal, line))
            });
            if let Err(error) = outcome {
                verdict.note(error);
            }
            if stage != Stage::Source {
                stop.request();
            }
            // What is dropped here may itself panic, which must not hide that the stage has ended.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(body)));
            let _ = ended.send(stage); // nobody waits any more if a run was given up
        };
        std::thread::Builder::new()
            .name(stage.name().into())
            .spawn(work)
            .with_context(|| format!("cannot start a thread for the {stage} stage"))?;
        self.at_work.push(stage);
        Ok(())
    }

    /// Waits for all stages.
    pub fn join(mut self) -> Result<()> {
        let mut stopping_since = None;
        while !self.at_work.is_empty() {
            match self.ended.1.recv_timeout(LOOK_EVERY.min(self.grace)) {
                Ok(stage) => {
                    // Several threads may work at one stage.
                    let one = self.at_work.iter().position(|s| *s == stage);
                    one.map(|i| self.at_work.swap_remove(i));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if !self.stop.requested() {
                continue;
            }
            let since = *stopping_since.get_or_insert_with(Instant::now);
            if self.at_work.contains(&Stage::Source) && since.elapsed() >= self.grace {
                // Its thread stays behind; it ends with the process.
                self.at_work.retain(|s| *s != Stage::Source);
                self.leave = None;
            }
        }
        self.verdict.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::code_of;
    use std::process::ExitCode;

    fn crew() -> Crew {
        Crew::new(StopFlag::default(), Duration::from_millis(20))
    }

    #[test]
    fn the_earliest_failure_is_reported_and_its_followers_are_not() {
        let mut crew = crew();
        let verdict = crew.verdict();
        crew.spawn(Stage::Infer, || Err(fault(Kind::Config, "the card is gone"))).unwrap();
        crew.spawn(Stage::Sink, move || {
            while !verdict.failed() {
                std::thread::yield_now();
            }
            Err(fault(Kind::Io, "nothing arrives"))
        })
        .unwrap();
        assert_eq!(crew.join().unwrap_err().to_string(), "the card is gone");
    }

    #[test]
    fn a_failure_is_known_before_the_queues_of_its_stage_close() {
        let mut crew = crew();
        let verdict = crew.verdict();
        let (tx, rx) = bounded::<()>(1);
        crew.spawn(Stage::Infer, move || {
            let _keep = &tx;
            panic!("out of luck")
        })
        .unwrap();
        assert!(rx.recv().is_err());
        assert!(verdict.failed(), "the queue closed first");
        let error = crew.join().unwrap_err();
        assert!(error.to_string().starts_with("the infer stage broke down: out of luck"), "{error}");
        assert_eq!(format!("{:?}", code_of(&error)), format!("{:?}", ExitCode::from(70)));
    }

    #[test]
    fn any_stage_that_ends_stops_the_source() {
        let mut crew = crew();
        let stop = crew.stop.clone();
        crew.spawn(Stage::Sink, || Ok(())).unwrap();
        crew.spawn(Stage::Source, move || {
            while !stop.requested() {
                std::thread::yield_now();
            }
            Ok(())
        })
        .unwrap();
        crew.join().unwrap();
    }

    #[test]
    fn a_source_that_never_answers_cannot_hold_the_run() {
        let mut crew = crew();
        let left = crew.source_left();
        let (never, silence) = bounded::<()>(0);
        crew.spawn(Stage::Source, move || {
            let _ = silence.recv();
            Ok(())
        })
        .unwrap();
        crew.spawn(Stage::Preprocess, move || {
            let _ = left.recv();
            Ok(())
        })
        .unwrap();
        crew.stop.request();
        crew.join().unwrap();
        drop(never);
    }
}
