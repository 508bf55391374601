//! One net for many streams: what they ask for goes through the same sessions, in turn, and in batches where that is wanted.

use super::{Scores, Segmenter};
use crate::error::{Kind, fault};
use crate::frame::Tensor;
use crate::gate::Gate;
use crate::panics;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How a shared net puts frames of several streams together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Frames that run through the net at once, at most.
    pub most: usize,
    /// How long the first of them waits for others.
    pub wait: Duration,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            most: 1,
            wait: Duration::from_millis(5),
        }
    }
}

struct Request {
    tensor: Tensor,
    answer: Sender<(Tensor, Result<Scores>)>,
}

/// The sessions, each on a thread of its own. They end when the last client is gone.
#[derive(Debug)]
pub struct SharedNet {
    requests: Sender<Request>,
    provider: Arc<str>,
    turns: Gate,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("fit", &self.tensor.fit).finish_non_exhaustive()
    }
}

impl SharedNet {
    /// Starts a thread for each session.
    ///
    /// # Errors
    /// If a thread cannot be had.
    pub fn start(sessions: Vec<Box<dyn Segmenter>>, provider: &str, batching: Batching) -> Result<Self> {
        // A client waits for its answer, so that there is never more than one request of each; the queue only has to be there.
        let (requests, queue) = bounded::<Request>(0);
        let turns = Gate::new(sessions.len() * batching.most);
        for session in sessions {
            let queue = queue.clone();
            thread::Builder::new()
                .name("net".into())
                .spawn(move || serve(session, &queue, batching))
                .context("cannot start the thread of a net")?;
        }
        Ok(Self {
            requests,
            provider: provider.into(),
            turns,
        })
    }

    /// One more taker. It waits while the net is busy; requests are served in the order in which they came.
    pub fn client(self: &Arc<Self>) -> Box<dyn Segmenter> {
        Box::new(Client {
            net: self.clone(),
            answers: bounded(1),
            spare: Vec::new(),
        })
    }

    /// Where frames wait that are taken only when it is their turn: there is room for as many as run at once.
    pub fn turns(&self) -> Gate {
        self.turns.clone()
    }

    /// What runs it.
    pub fn provider(&self) -> &str {
        &self.provider
    }
}

fn serve(mut session: Box<dyn Segmenter>, queue: &Receiver<Request>, batching: Batching) {
    let mut next = None;
    while let Some(first) = next.take().or_else(|| queue.recv().ok()) {
        let mut batch = vec![first];
        let deadline = Instant::now() + batching.wait;
        while batch.len() < batching.most {
            match queue.recv_deadline(deadline) {
                Ok(more) if more.tensor.fit == batch[0].tensor.fit => batch.push(more),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        answer(&mut *session, batch);
    }
}

fn answer(session: &mut dyn Segmenter, batch: Vec<Request>) {
    let (tensors, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|r| (r.tensor, r.answer)).unzip();
    let outcome = catch_unwind(AssertUnwindSafe(|| session.infer_batch(&tensors)));
    let outcome = outcome.unwrap_or_else(|payload| Err(fault(Kind::Internal, panics::describe(&*payload))));
    let outcome = outcome.and_then(|all| match all.len() == tensors.len() {
        true => Ok(all),
        false => Err(fault(
            Kind::Internal,
            format!("the net gave {} results for {}", all.len(), tensors.len()),
        )),
    });
    // Whoever asked may have gone in the meantime.
    match outcome {
        Ok(all) => tensors.into_iter().zip(all).zip(answers).for_each(|((tensor, scores), to)| {
            to.send((tensor, Ok(scores))).ok();
        }),
        Err(error) => tensors.into_iter().zip(answers).for_each(|(tensor, to)| {
            let same = fault(crate::error::kind_of(&error), format!("{error:#}"));
            to.send((tensor, Err(same))).ok();
        }),
    }
}

type Answers = (Sender<(Tensor, Result<Scores>)>, Receiver<(Tensor, Result<Scores>)>);

struct Client {
    net: Arc<SharedNet>,
    answers: Answers,
    /// Memory of the last tensor, for the next.
    spare: Vec<f32>,
}

impl Segmenter for Client {
    fn infer(&mut self, input: &Tensor) -> Result<Scores> {
        let mut values = std::mem::take(&mut self.spare);
        values.clear();
        values.extend_from_slice(&input.values);
        let request = Request {
            tensor: Tensor { values, fit: input.fit },
            answer: self.answers.0.clone(),
        };
        let gone = || fault(Kind::Internal, "the shared net has ended");
        self.net.requests.send(request).map_err(|_| gone())?;
        let (tensor, outcome) = self.answers.1.recv().map_err(|_| gone())?;
        self.spare = tensor.values;
        outcome
    }

    fn provider(&self) -> &str {
        self.net.provider()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::{Buffer, Values};
    use maskline_models::{Fit, Rect};
    use std::sync::Mutex;

    /// Gives the first value of each tensor as the only class id, and writes down how many came at once.
    struct Echo(Arc<Mutex<Vec<usize>>>);

    impl Segmenter for Echo {
        fn infer(&mut self, input: &Tensor) -> Result<Scores> {
            Ok(self.infer_batch(std::slice::from_ref(input))?.remove(0))
        }

        fn provider(&self) -> &str {
            "mock"
        }

        fn infer_batch(&mut self, inputs: &[Tensor]) -> Result<Vec<Scores>> {
            self.0.lock().unwrap().push(inputs.len());
            thread::sleep(Duration::from_millis(5));
            assert!(inputs.iter().all(|i| i.fit == inputs[0].fit), "a batch has one size");
            assert!(inputs.iter().all(|i| i.values[0] < 200.0), "asked to fail");
            let ids = inputs.iter().map(|i| vec![i.values[0] as u8]);
            Ok(ids
                .map(|ids| Scores {
                    width: 1,
                    height: 1,
                    values: Values::U8(Buffer::from(ids)),
                    confidence: None,
                })
                .collect())
        }
    }

    fn start(logs: &[&Arc<Mutex<Vec<usize>>>], batching: Batching) -> Arc<SharedNet> {
        let session = |log: &&Arc<Mutex<Vec<usize>>>| Box::new(Echo((*log).clone())) as Box<dyn Segmenter>;
        Arc::new(SharedNet::start(logs.iter().map(session).collect(), "mock", batching).unwrap())
    }

    fn tensor(value: f32, width: u32) -> Tensor {
        let content = Rect {
            x: 0,
            y: 0,
            width,
            height: 1,
        };
        Tensor {
            values: vec![value; 3 * width as usize],
            fit: Fit {
                width,
                height: 1,
                content,
                pad: 0,
            },
        }
    }

    fn id(scores: &Scores) -> u8 {
        match &scores.values {
            Values::U8(ids) => ids[0],
            other => panic!("wanted ids, found {other:?}"),
        }
    }

    #[test]
    fn everybody_gets_their_own_answer_and_batches_hold_one_size() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let batching = Batching {
            most: 4,
            wait: Duration::from_millis(20),
        };
        let net = start(&[&log, &log], batching);
        thread::scope(|threads| {
            for stream in 0..6_u32 {
                let mut client = net.client();
                threads.spawn(move || {
                    for n in 0..10 {
                        let value = (stream * 20 + n) as f32;
                        let scores = client.infer(&tensor(value, 1 + stream % 2)).unwrap();
                        assert_eq!(f32::from(id(&scores)), value);
                    }
                });
            }
        });
        let log = log.lock().unwrap();
        assert_eq!(log.iter().sum::<usize>(), 60);
        assert!(log.iter().any(|n| *n > 1) && log.iter().all(|n| *n <= 4), "{log:?}");
    }

    #[test]
    fn a_net_that_panics_answers_with_an_error_and_goes_on() {
        crate::panics::keep_quiet();
        let net = start(&[&Arc::default()], Batching::default());
        let mut client = net.client();
        let error = client.infer(&tensor(250.0, 1)).unwrap_err().to_string();
        assert!(error.contains("asked to fail"), "{error}");
        assert_eq!(id(&client.infer(&tensor(3.0, 1)).unwrap()), 3);
        assert_eq!(client.provider(), "mock");
    }
}
