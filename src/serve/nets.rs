//! The nets of a host: opened for the first stream that wants one, shared by all that want the same, closed after the last.

use crate::error::{Kind, fault};
use crate::infer::{Batching, ProviderReport, SessionOptions, SharedNet};
use crate::pipeline::hosting::{Lender, Lent};
use crate::pipeline::sessions;
use anyhow::Result;
use maskline_models::{Fit, Model};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What makes two nets the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Same {
    sha256: String,
    head: Option<String>,
    size: (u32, u32),
    options: String,
}

/// The nets.
#[derive(Debug)]
pub(super) struct Nets {
    batching: Batching,
    open: Mutex<HashMap<Same, (Weak<SharedNet>, ProviderReport)>>,
}

impl Nets {
    pub fn new(batching: Batching) -> Self {
        Self {
            batching,
            open: Mutex::default(),
        }
    }
}

impl Lender for Nets {
    fn lend(&self, model: &Model, head: Option<&str>, fit: Fit, options: &SessionOptions) -> Result<Lent> {
        if !model.contract.states.is_empty() {
            // What it remembers is of one stream.
            let (mut own, provider) = sessions::open(model, head, fit, options, true)?;
            let net = own.pop().ok_or_else(|| fault(Kind::Internal, "no session was opened"))?;
            return Ok(Lent {
                net,
                provider,
                turns: None,
            });
        }
        let same = Same {
            sha256: model.sha256(),
            head: head.map(str::to_owned),
            size: (fit.width, fit.height),
            options: format!("{options:?}"),
        };
        // Held while a net is opened, so that two streams do not open the same.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (net, _)| net.strong_count() > 0);
        if let Some((net, report)) = open.get(&same)
            && let Some(net) = net.upgrade()
        {
            return Ok(Lent::from_shared(&net, report.clone()));
        }
        // One session gives each map soonest; a second only helps where somebody asks for throughput.
        let (all, report) = sessions::open(model, head, fit, options, true)?;
        let net = Arc::new(SharedNet::start(all, &report.taken, self.batching)?);
        open.insert(same, (Arc::downgrade(&net), report.clone()));
        Ok(Lent::from_shared(&net, report))
    }
}
