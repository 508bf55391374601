//! Parts of a net that keep their values for some epochs, and learn more slowly afterwards.

use crate::nets::Net;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// One `[[freeze]]` entry of a training configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FreezeConfig {
    /// Which tensors: their paths in the net or the beginnings of them up to a dot, `*` standing for anything.
    pub layers: Vec<String>,
    /// For so many epochs from the first; for the whole run where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Share of the learning rate that they get afterwards.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub rate_factor: f64,
}

fn whole() -> f64 {
    1.0
}

fn is_whole(factor: &f64) -> bool {
    *factor == 1.0
}

impl FreezeConfig {
    /// What is wrong with it for a net with tensors of these paths, each as one line.
    pub fn problems(&self, paths: &[String]) -> Vec<String> {
        let mut lines = Vec::new();
        if self.layers.is_empty() {
            lines.push("a [[freeze]] needs layers = [\"encoder\"] or others".into());
        }
        if !(self.rate_factor > 0.0 && self.rate_factor.is_finite()) {
            lines.push(format!("rate_factor is {}, wanted more than 0", self.rate_factor));
        }
        if self.epochs.is_none() && self.rate_factor != 1.0 {
            lines.push("rate_factor counts after epochs, which is missing: these layers never learn".into());
        }
        for pattern in &self.layers {
            let hit = group(std::slice::from_ref(pattern)).is_some_and(|g| paths.iter().any(|p| g.matches(&ParamId::from(0), Some(p))));
            if !hit {
                let mut parts: Vec<&str> = paths.iter().filter_map(|p| p.split('.').next()).collect();
                parts.dedup();
                lines.push(format!(
                    "layers has {pattern:?}, which no tensor of this net is called; its parts are {}",
                    parts.join(", ")
                ));
            }
        }
        lines
    }

    fn group(&self) -> ParamGroup {
        group(&self.layers).expect("a configuration's patterns were checked")
    }

    fn is_over(&self, epoch: u32) -> bool {
        self.epochs.is_some_and(|epochs| epoch >= epochs)
    }
}

/// What the patterns match; none if they hold what no path has.
fn group(patterns: &[String]) -> Option<ParamGroup> {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '*';
    if !patterns.iter().all(|p| p.chars().all(known)) {
        return None;
    }
    let expression = |p: &String| format!(r"^{}(\..*)?$", p.replace('.', r"\.").replace('*', ".*"));
    ParamGroup::from_any_regexes(patterns.iter().map(expression).collect()).ok()
}

/// The net as it learns in that epoch, counted from 0: frozen tensors get no gradients, and frozen batch normalisations use their
/// running statistics and leave them alone.
pub fn apply(list: &[FreezeConfig], net: Net, epoch: u32) -> Net {
    if list.is_empty() {
        return net;
    }
    let frozen = list.iter().filter(|f| !f.is_over(epoch));
    frozen.fold(net.unfreeze(), |net, f| net.freeze_group(f.group()))
}

/// Whether all tensors of these paths are frozen in the first epoch, so that there is nothing to learn.
pub fn leaves_nothing(list: &[FreezeConfig], paths: &[String]) -> bool {
    let frozen: Vec<_> = list.iter().filter(|f| !f.is_over(0)).map(FreezeConfig::group).collect();
    paths.iter().all(|p| frozen.iter().any(|g| g.matches(&ParamId::from(0), Some(p))))
}

/// Whether another net learns in that epoch than in the one before.
pub fn changes(list: &[FreezeConfig], epoch: u32) -> bool {
    list.iter().any(|f| f.epochs == Some(epoch))
}

/// The learning rate of every tensor; where several entries name one, the last counts.
pub fn rates(list: &[FreezeConfig], rate: f64) -> ModuleLearningRate {
    let slow = list.iter().filter(|f| f.rate_factor != 1.0);
    let mut all = slow.fold(ModuleLrScheduler::new(rate), |all, f| {
        all.with_group(f.group(), rate * f.rate_factor)
    });
    all.step()
}

/// How many numbers of a net learn.
pub fn learning<M: Module>(net: &M) -> usize {
    let mut found = Learning(0);
    net.visit(&mut found);
    found.0
}

struct Learning(usize);

impl ModuleVisitor for Learning {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += if param.is_require_grad() { param.shape().num_elements() } else { 0 };
    }
}

/// The paths of what learns in a net, so of all tensors but running statistics, which follow their normalisation. Draws no weights.
pub fn paths<M: Module>(net: &M) -> Vec<String> {
    let mut found = Paths::default();
    net.visit(&mut found);
    found.all
}

#[derive(Default)]
struct Paths {
    path: Vec<String>,
    all: Vec<String>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        let statistics = self.path.last().is_some_and(|name| name.starts_with("running_")); // as burn's batch norm calls them
        if !statistics {
            self.all.push(self.path.join("."));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{Kind, NetConfig};
    use crate::weights::Weights;
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Distribution};

    fn entry(layers: &[&str], epochs: Option<u32>, rate_factor: f64) -> FreezeConfig {
        FreezeConfig {
            layers: layers.iter().map(ToString::to_string).collect(),
            epochs,
            rate_factor,
        }
    }

    fn net(device: &Device) -> Net {
        let config = NetConfig {
            widths: vec![3, 4, 5, 6],
            depths: vec![1; 4],
            ..NetConfig::new(Kind::Fcn)
        };
        config.init(3, device)
    }

    /// Paths of the tensors that a step changes, running statistics among them.
    fn moved(net: &Net, device: &Device) -> Vec<String> {
        let before = Weights::of(&net.valid()).values();
        let picture = Tensor::<4>::random([2, 3, 16, 16], Distribution::Normal(1.0, 2.0), device);
        let loss = net.forward(picture).powi_scalar(2).mean();
        let grads = GradientsParams::from_grads(loss.backward(), net);
        let net = crate::optimizer::OptimizerConfig::default().init(net).step(0.1, net.clone(), grads);
        let after = Weights::of(&net.valid()).values();
        after
            .into_iter()
            .filter(|(path, v)| &before[path] != v)
            .map(|(path, _)| path)
            .collect()
    }

    #[test]
    fn steps_of_a_schedule_thaw_one_after_the_other() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let list = [
            entry(&["encoder.0", "encoder.1.units.0.conv.*"], Some(2), 1.0),
            entry(&["encoder.*"], Some(1), 1.0),
            entry(&["*.bias"], None, 1.0),
        ];
        let all: Vec<String> = Weights::of(&net(&device).valid()).values().into_keys().collect();
        let is = |path: &str, start: &str| path.starts_with(start);
        for (epoch, learns) in [
            (0, (&|p: &str| !is(p, "encoder.") && !p.ends_with(".bias")) as &dyn Fn(&str) -> bool),
            (1, &|p| {
                !is(p, "encoder.0.") && !is(p, "encoder.1.units.0.conv.") && !p.ends_with(".bias")
            }),
            (2, &|p| !p.ends_with(".bias")),
        ] {
            let net = apply(&list, net(&device), epoch);
            let wanted: Vec<&String> = all.iter().filter(|p| learns(p)).collect();
            let mut found = moved(&net, &device);
            found.sort();
            let mut wanted: Vec<String> = wanted.into_iter().cloned().collect();
            wanted.sort();
            assert_eq!(found, wanted, "epoch {epoch}");
        }
        assert_eq!([0, 1, 2, 3].map(|epoch| changes(&list, epoch)), [false, true, true, false]);
    }

    #[test]
    fn what_is_thawed_learns_again() {
        let device = Device::flex().autodiff();
        let list = [entry(&["encoder", "centre"], Some(1), 1.0)];
        let frozen = apply(&list, net(&device), 0);
        assert!(moved(&frozen, &device).iter().all(|p| p.starts_with("scores.")));
        let few = learning(&frozen);
        let thawed = apply(&list, frozen, 1);
        assert!(few > 0 && few < learning(&thawed));
        assert_eq!(moved(&thawed, &device).len(), Weights::of(&thawed.valid()).len());
    }

    #[test]
    fn the_last_entry_that_names_a_tensor_gives_its_rate() {
        let list = [
            entry(&["encoder"], Some(1), 0.1),
            entry(&["encoder.1"], Some(1), 0.5),
            entry(&["centre"], None, 1.0),
        ];
        let rates = rates(&list, 0.2);
        let of = |path: &str| rates.lr_from_param(ParamId::from(0), Some(path));
        for (path, wanted) in [
            ("encoder.0.units.0.conv.weight", 0.02),
            ("encoder.1.units.0.conv.weight", 0.1),
            ("encoders", 0.2),
            ("scores.0.weight", 0.2),
        ] {
            assert!((of(path) - wanted).abs() < 1e-12, "{path}: {}", of(path));
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_a_problem() {
        let paths = paths(&net(&Device::flex()));
        let problems = |f: FreezeConfig| f.problems(&paths);
        assert_eq!(
            problems(entry(&["encoder.*", "scores.1", "*.norm.gamma"], Some(1), 0.1)),
            Vec::<String>::new()
        );
        let statistics = problems(entry(&["*.running_mean"], None, 1.0));
        assert_eq!(statistics.len(), 1, "they are frozen with their norm or not at all");
        let lines = problems(entry(&["encoder", "decoder.*", "enc", "a("], Some(1), 1.0));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].contains("\"decoder.*\"") && lines[0].ends_with("its parts are encoder, centre, scores"),
            "{lines:?}"
        );
        assert_eq!(problems(entry(&[], Some(1), 0.0)).len(), 2);
        assert!(problems(entry(&["encoder"], None, 0.1))[0].contains("epochs, which is missing"));
    }
}
