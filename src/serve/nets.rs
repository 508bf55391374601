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
        if model.contract.remembers() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Tensor;
    use crate::infer::{Segmenter, Values};
    use crate::testing::{Brightness, Output};
    use std::borrow::Cow;

    #[test]
    fn two_streams_at_a_net_that_remembers_do_not_mix() {
        let net = Brightness {
            output: Output::Logits,
            counts: true,
            ..Brightness::default()
        };
        let model = Model::from_bytes("x".into(), Cow::Owned(net.onnx()), None).unwrap();
        let fit = Fit::plan(&model.contract.input, 64, 48, None).unwrap();
        let nets = Nets::new(Batching {
            most: 4,
            ..Batching::default()
        });
        let lend = || nets.lend(&model, None, fit, &SessionOptions::default()).unwrap();
        let [mut one, mut two] = [lend(), lend()];
        assert!(one.turns.is_none());
        let tensor = Tensor {
            values: vec![0.0; 3 * 64 * 48],
            fit,
        };
        let frames_before = |net: &mut dyn Segmenter| match net.infer(&tensor).unwrap().values {
            Values::Floats { scores, .. } => scores[0],
            other => panic!("{other:?}"),
        };
        assert_eq!([0; 3].map(|_| frames_before(&mut *one.net)), [0.0, 1.0, 2.0]);
        assert_eq!([0; 2].map(|_| frames_before(&mut *two.net)), [0.0, 1.0]);
        two.net.reset().unwrap();
        assert_eq!([frames_before(&mut *one.net), frames_before(&mut *two.net)], [3.0, 0.0]);
    }
}
