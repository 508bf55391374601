//! The stages of the search.

use super::lab::Lab;
use super::net::{self, Net};
use super::point::{self, Point, Setup};
use super::truth::{Truth, open_labels};
use super::verdict::Verdict;
use super::wish::{Aim, Floor, Limits};
use super::{Order, Tuned, recipe};
use crate::bench::{ClipUsed, Machine};
use crate::config::{ModelConfig, PipelineConfig};
use crate::error::{Kind, fault, kind_of};
use crate::frame::VideoFormat;
use crate::infer::Provider;
use crate::infer::runtime::runtime;
use crate::pipeline::{Pipeline, open_model};
use crate::source::{self, SourceOptions, StopFlag};
use crate::temporal::Every;
use anyhow::Result;
use maskline_models::Precision;
use std::path::PathBuf;
use std::sync::Arc;

/// Of the frames of a run, those of the short runs that find the best split of threads and sessions.
const SHORT: u64 = 3;
/// Frames of a short run at least, so that all sessions are busy for some time.
const SHORT_AT_LEAST: u64 = 16;

/// Load above which other processes make figures worse.
const QUIET_LOAD: f64 = 0.3;

/// Everything that a search works on.
pub(super) struct Search<'a> {
    order: &'a Order,
    say: &'a mut dyn FnMut(&str),
    lab: Lab<'a>,
    machine: Machine,
    clip: ClipUsed,
    format: Arc<VideoFormat>,
    nets: Vec<Net>,
    reference: usize,
    labels: Option<Vec<PathBuf>>,
    aim: Aim,
    notes: Vec<String>,
}

impl<'a> Search<'a> {
    /// Opens clip, nets and labels and checks that they fit each other.
    pub fn open(order: &'a Order, stop: &'a StopFlag, say: &'a mut dyn FnMut(&str)) -> Result<Self> {
        if order.clip.starts_with("test:") {
            let line = format!(
                "found the test pattern {}, wanted a video: its frames cost nothing to decode",
                order.clip
            );
            return Err(fault(Kind::Usage, line));
        }
        source::check_repeatable(&order.clip)?;
        let machine = Machine::look()?;
        let options = SourceOptions {
            frames: Some(order.frames),
            stop: stop.inner(),
            ..SourceOptions::default()
        };
        let clip = source::open(&order.clip, &options)?;
        let format = clip.format.clone();
        let aim = order.wish.aim();
        let lookahead = aim != Aim::Latency;
        let mut lab = Lab::new(&order.clip, order.frames, lookahead, stop)?;
        lab.clip_runs_at(format.rate.map(|(n, d)| f64::from(n) / f64::from(d)));
        let mut notes = Vec::new();
        if let Some(load) = machine.load.filter(|load| *load > QUIET_LOAD) {
            notes.push(format!(
                "the machine has other work (load {load:.1}), which makes everything slower than it need be"
            ));
        }
        let (nets, reference) = open_nets(&order.models, &mut notes)?;
        let labels = order.labels.as_deref().map(|folder| open_labels(folder, &format)).transpose()?;
        Ok(Self {
            clip: ClipUsed {
                name: Some(order.clip.clone()),
                description: clip.description.clone(),
                width: format.width,
                height: format.height,
            },
            order,
            say,
            lab,
            machine,
            format,
            nets,
            reference,
            labels,
            aim,
            notes,
        })
    }

    /// All stages.
    pub fn run(mut self) -> Result<Tuned> {
        let splits = self.splits();
        let candidates = self.candidates()?;
        for note in &self.notes {
            (self.say)(&format!("note: {note}"));
        }
        let (mut truth, reference_size, reference_miou) = self.run_reference()?;
        let frames = self.lab.frames();
        let short = (frames / SHORT).max(SHORT_AT_LEAST).min(frames);
        let kept = if self.aim == Aim::Both { splits.len().min(2) } else { 1 } as u64;
        let tried = if splits.len() > 1 { splits.len() as u64 } else { 0 };
        let later = self.order.every.len() as u64 * self.runs_a_point() * frames;
        // Frames to run with so many candidates left and so many setups chosen.
        let to_run = |left: u64, chosen: u64, runs: u64| left * tried * runs * short + (chosen + left * kept) * later;
        self.lab.plan(to_run(candidates.len() as u64, 0, self.runs_a_point()));
        let mut setups = Vec::new();
        for (number, candidate) in candidates.iter().enumerate() {
            setups.extend(self.best_splits(candidate, &splits, short)?);
            let left = (candidates.len() - number - 1) as u64;
            self.lab.plan(to_run(left, setups.len() as u64, self.runs_a_point()));
        }
        if setups.is_empty() {
            return Err(fault(Kind::Config, format!("nothing can run: {}", self.notes.join("; "))));
        }
        let mut points = self.measure_all(setups, &mut truth)?;
        let limits = Limits {
            goal: self.order.wish.goal,
            floor: self.order.wish.floor.map(|floor| match floor {
                Floor::Agreement(share) => share,
                Floor::LossPoints(points) => reference_miou.unwrap_or(1.0) - points / 100.0,
            }),
        };
        self.measure_latencies(&mut points)?;
        let verdict = self.decide(&mut points, &limits, reference_size)?;
        if self.lab.disturbed() > 0 {
            let runs = self.lab.disturbed();
            let line = format!("this process stood still for half a second or more in {runs} runs, which do not count");
            (self.say)(&format!("note: {line}"));
            self.notes.push(line);
        }
        Ok(Tuned {
            machine: self.machine,
            clip: self.clip,
            frames: self.lab.frames(),
            nets: self.nets,
            reference: (self.reference, reference_size),
            reference_miou,
            wish: self.order.wish,
            limits,
            aim: self.aim,
            frontier: point::frontier(&points, self.aim),
            points,
            verdict,
            notes: self.notes,
        })
    }

    /// One for the rate and one for the latency, where that is an aim.
    fn runs_a_point(&self) -> u64 {
        if self.aim == Aim::Rate { 1 } else { 2 }
    }

    /// The maps that all others are held against: every frame by the reference, on the CPU.
    fn run_reference(&mut self) -> Result<(Truth, (u32, u32), Option<f64>)> {
        let net = &self.nets[self.reference];
        let size = net.natural_size(&self.format)?;
        let setup = Setup {
            net: self.reference,
            provider: Provider::Cpu,
            size,
            sessions: if net.remembers { 1 } else { 2.min(self.machine.cores) },
            threads: self.machine.cores,
        };
        let config = self.lab.config(net, &setup, Every::Frames(1));
        let run = self.lab.run(&config, true)?;
        let maps = run
            .maps
            .ok_or_else(|| fault(Kind::Internal, "the class maps of the reference are gone"))?;
        let written = run.report.frames.written;
        if let Some(labels) = self
            .labels
            .as_ref()
            .filter(|l| written < self.order.frames && l.len() as u64 > written)
        {
            let found = labels.len();
            let line = format!("found {found} labels for {written} frames, wanted one a frame in the order of their names");
            return Err(fault(Kind::BadInput, line));
        }
        self.lab.clip_has(written);
        let mut truth = Truth::new(maps, net, self.labels.clone(), &self.format);
        let miou = truth.miou_of_reference()?;
        let miou_text = miou.map_or(String::new(), |m| format!(", mIoU {:.1} %", 100.0 * m));
        let line = format!(
            "reference: {} {} at {}x{} on cpu, every frame of {}: {:.1} frames/s{miou_text}",
            net.name, net.precision, size.0, size.1, written, run.report.frames_per_s
        );
        (self.say)(&line);
        Ok((truth, size, miou))
    }

    /// Sessions and threads to try for each net, provider and size.
    fn splits(&self) -> Vec<(usize, usize)> {
        let cores = self.machine.cores;
        let threads = if self.order.threads.is_empty() {
            vec![cores]
        } else {
            self.order.threads.clone()
        };
        let mut splits = Vec::new();
        for &threads in &threads {
            let usual = || {
                let doubled = std::iter::successors(Some(1), |n| Some(2 * n)).take_while(|n| *n < threads);
                doubled.chain([threads]).collect()
            };
            let sessions: Vec<usize> = if self.order.sessions.is_empty() {
                usual()
            } else {
                self.order.sessions.clone()
            };
            splits.extend(sessions.iter().map(|&sessions| (sessions, threads)));
        }
        splits
    }

    /// Every net, provider and size, with one session.
    fn candidates(&mut self) -> Result<Vec<Setup>> {
        let named = !self.order.providers.is_empty() && !self.order.providers.contains(&Provider::Auto);
        let there = &runtime()?.providers;
        let providers: Vec<Provider> = match named {
            true => self.order.providers.clone(),
            false => Provider::ORDER.into_iter().filter(|p| there.contains(p)).collect(),
        };
        let (mut candidates, mut notes) = (Vec::new(), Vec::new());
        for (number, net) in self.nets.iter().enumerate() {
            let sizes = self.sizes(net, &mut notes)?;
            for &provider in &providers {
                let base = Setup {
                    net: number,
                    provider,
                    size: sizes[0],
                    sessions: 1,
                    threads: self.machine.cores,
                };
                let config = self.lab.config(net, &base, Every::Frames(1));
                if let Err(error) = Pipeline::from_config(config).open() {
                    if named || kind_of(&error) != Kind::Config {
                        return Err(error);
                    }
                    notes.push(format!("{error:#}"));
                    continue;
                }
                for &size in &sizes {
                    let candidate = Setup { size, ..base };
                    if !candidates.contains(&candidate) {
                        candidates.push(candidate);
                    }
                }
            }
            if net.remembers && self.order.every.iter().any(|e| *e != Every::Frames(1)) {
                let line = format!("{} remembers what it saw, so it runs on every frame, in one session", net.name);
                notes.push(line);
            }
        }
        self.notes.extend(notes);
        Ok(candidates)
    }

    /// Sizes at which a net is tried; a note for each that it does not take.
    fn sizes(&self, net: &Net, notes: &mut Vec<String>) -> Result<Vec<(u32, u32)>> {
        if self.order.sizes.is_empty() {
            return net.usual_sizes(&self.format);
        }
        let (mut sizes, mut wrong) = (Vec::new(), Vec::new());
        for &size in &self.order.sizes {
            match net.check_size(&self.format, size) {
                Ok(()) => sizes.push(size),
                Err(why) => wrong.push(format!("{}: {why}", net.origin)),
            }
        }
        if sizes.is_empty() {
            return Err(fault(Kind::Config, wrong.join("; ")));
        }
        notes.extend(wrong);
        Ok(sizes)
    }

    /// The splits of threads and sessions that are best for what is wanted.
    fn best_splits(&mut self, candidate: &Setup, splits: &[(usize, usize)], short: u64) -> Result<Vec<Setup>> {
        let net = self.nets[candidate.net].clone();
        let on_card = matches!(candidate.provider, Provider::Cuda | Provider::TensorRt);
        let mut setups = Vec::new();
        for &(sessions, threads) in splits {
            let setup = Setup {
                sessions: if net.remembers { 1 } else { sessions },
                threads: if on_card { candidate.threads } else { threads },
                ..*candidate
            };
            if !setups.contains(&setup) {
                setups.push(setup);
            }
        }
        if setups.len() == 1 {
            return Ok(setups);
        }
        let mut measured = Vec::new();
        for setup in setups {
            let config = self.lab.short(self.lab.config(&net, &setup, Every::Frames(1)), short);
            let frames_per_s = self.lab.run(&config, false)?.report.frames_per_s;
            let latency = match self.aim {
                Aim::Rate => None,
                Aim::Latency | Aim::Both => Some(self.lab.latency(&config, frames_per_s)?),
            };
            let latency_text = latency.map_or(String::new(), |ms| format!(", latency {ms:.0} ms"));
            let line = format!(
                "{}: {frames_per_s:.1} frames/s{latency_text}; {}",
                self.name(&setup),
                self.lab.left()
            );
            (self.say)(&line);
            measured.push((setup, frames_per_s, latency.unwrap_or(f64::INFINITY)));
        }
        let fastest = measured.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|m| m.0);
        let shortest = measured.iter().min_by(|a, b| a.2.total_cmp(&b.2)).map(|m| m.0);
        let mut best: Vec<_> = match self.aim {
            Aim::Rate => fastest.into_iter().collect(),
            Aim::Latency => shortest.into_iter().collect(),
            Aim::Both => fastest.into_iter().chain(shortest).collect(),
        };
        best.dedup();
        Ok(best)
    }

    /// Every setup at every interval, but for what is pointless.
    fn measure_all(&mut self, mut setups: Vec<Setup>, truth: &mut Truth) -> Result<Vec<Point>> {
        let mut points: Vec<Point> = Vec::new();
        let mut every = self.order.every.clone();
        every.sort_by_key(|e| match e {
            Every::Frames(n) => *n,
            Every::Auto => u32::MAX,
        });
        every.dedup();
        for (number, &every_n) in every.iter().enumerate() {
            for setup in &setups {
                if self.nets[setup.net].remembers && every_n != Every::Frames(1) {
                    continue;
                }
                points.push(self.measure(*setup, every_n, truth)?);
            }
            if number == 0 {
                setups = self.drop_pointless(setups, &points);
                let left = (setups.len() * (every.len() - 1)) as u64;
                self.lab.plan(left * self.runs_a_point() * self.lab.frames());
            }
        }
        if points.is_empty() {
            let line = "nothing was measured: nets that remember run on every frame, so --every needs 1";
            return Err(fault(Kind::Config, line));
        }
        Ok(points)
    }

    fn measure(&mut self, setup: Setup, every: Every, truth: &mut Truth) -> Result<Point> {
        let net = self.nets[setup.net].clone();
        let config = self.lab.config(&net, &setup, every);
        let run = self.lab.run(&config, true)?;
        let (agreement, miou) = self.lab.judge(truth, &net, run.maps)?;
        let frames_per_s = run.report.frames_per_s;
        let latency = match self.aim {
            Aim::Rate => None,
            Aim::Latency | Aim::Both => Some(self.lab.latency(&config, frames_per_s)?),
        };
        let point = Point {
            setup,
            every,
            frames_per_s,
            latency_p95_ms: latency,
            agreement,
            miou,
            confirmed: false,
        };
        let latency_text = latency.map_or(String::new(), |ms| format!(", latency {ms:.0} ms"));
        let line = format!(
            "{}, every {every}: {frames_per_s:.1} frames/s{latency_text}, {} {:.1} %; {}",
            self.name(&setup),
            if miou.is_some() { "mIoU" } else { "agreement" },
            100.0 * point.quality(),
            self.lab.left()
        );
        (self.say)(&line);
        Ok(point)
    }

    fn drop_pointless(&mut self, setups: Vec<Setup>, points: &[Point]) -> Vec<Setup> {
        let mut kept = Vec::new();
        for setup in setups {
            let own = points.iter().find(|p| p.setup == setup);
            let better = own.and_then(|own| points.iter().find(|other| point::is_pointless(own, other, self.aim)));
            match better {
                None => kept.push(setup),
                Some(other) => {
                    let line = format!(
                        "{} is not tried with fewer inferred frames: {} is faster and no worse",
                        self.name(&setup),
                        self.name(&other.setup)
                    );
                    (self.say)(&format!("note: {line}"));
                    self.notes.push(line);
                }
            }
        }
        kept
    }

    /// Latencies of the frontier, where they were not what was searched for.
    fn measure_latencies(&mut self, points: &mut [Point]) -> Result<()> {
        let on_it = point::frontier(points, self.aim);
        let todo: Vec<_> = (0..points.len())
            .filter(|&i| on_it[i] && points[i].latency_p95_ms.is_none())
            .collect();
        self.lab.plan((todo.len() as u64 + 1) * self.lab.frames());
        for i in todo {
            let Point {
                setup,
                every,
                frames_per_s,
                ..
            } = points[i];
            let config = self.lab.config(&self.nets[setup.net], &setup, every);
            let latency = self.lab.latency(&config, frames_per_s)?;
            let line = format!("{}, every {every}: latency {latency:.0} ms; {}", self.name(&setup), self.lab.left());
            (self.say)(&line);
            points[i].latency_p95_ms = Some(latency);
        }
        Ok(())
    }

    /// Takes the best point, writes its pipeline, runs that, and takes the next one if it does not hold what it promised.
    fn decide(&mut self, points: &mut [Point], limits: &Limits, reference_size: (u32, u32)) -> Result<Verdict> {
        if self.order.wish == Default::default() {
            return Ok(Verdict::Frontier);
        }
        loop {
            let choice = match point::recommend(points, limits, self.aim) {
                None => return Err(fault(Kind::Internal, "there is nothing to choose from")),
                Some(Err(shortfall)) => return Ok(Verdict::Impossible(shortfall)),
                Some(Ok(choice)) => choice,
            };
            if points[choice].confirmed {
                let pipeline = self.recipe(&points[choice], reference_size)?.0;
                return Ok(Verdict::Recommended { point: choice, pipeline });
            }
            let (_, config) = self.recipe(&points[choice], reference_size)?;
            let point = &mut points[choice];
            point.frames_per_s = self.lab.run(&config, false)?.report.frames_per_s;
            if self.aim != Aim::Rate {
                point.latency_p95_ms = Some(self.lab.latency(&config, point.frames_per_s)?);
            }
            point.confirmed = true;
            let Point {
                setup,
                every,
                frames_per_s,
                ..
            } = *point;
            let holds = if point.is_fast(limits) { "" } else { ", which is not enough" };
            let line = format!(
                "once more, as it would be written: {}, every {every}: {frames_per_s:.1} frames/s{holds}",
                self.name(&setup)
            );
            (self.say)(&line);
        }
    }

    /// The text of a point's pipeline, and that pipeline on as many frames as all others, with its video where it hurts nobody.
    fn recipe(&self, point: &Point, reference_size: (u32, u32)) -> Result<(String, PipelineConfig)> {
        let reference = &self.nets[self.reference];
        let text = recipe::write(&recipe::Facts {
            order: self.order,
            machine: &self.machine,
            net: &self.nets[point.setup.net],
            reference: &format!("{} at {}x{}", reference.name, reference_size.0, reference_size.1),
            frames: self.lab.frames(),
            lookahead: self.aim != Aim::Latency,
            point,
        })?;
        let mut config = PipelineConfig::parse(&text, recipe::folder(self.order)).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            fault(Kind::Internal, format!("the pipeline is not valid: {}", lines.join("; ")))
        })?;
        config.source.frames = Some(self.lab.frames());
        config.output.video = self.lab.video();
        config.output.report = None;
        Ok((text, config))
    }

    fn name(&self, setup: &Setup) -> String {
        let net = &self.nets[setup.net];
        let (width, height) = setup.size;
        format!(
            "{} {} at {width}x{height} on {}, {}",
            net.name,
            net.precision,
            setup.provider,
            super::split(setup.sessions, setup.threads)
        )
    }
}

/// The nets, and which of them is the reference: the first float one.
fn open_nets(models: &[String], notes: &mut Vec<String>) -> Result<(Vec<Net>, usize)> {
    let names: Vec<_> = if models.is_empty() {
        vec![None]
    } else {
        models.iter().cloned().map(Some).collect()
    };
    let mut nets = Vec::new();
    for name in names {
        let mut config = PipelineConfig {
            model: ModelConfig {
                name,
                ..ModelConfig::default()
            },
            ..PipelineConfig::default()
        };
        let model = open_model(&config)?;
        config.model.name.get_or_insert_with(|| model.origin.clone());
        nets.push(Net::new(config.model, &model)?);
    }
    let float = nets.iter().position(|net| net.precision == Precision::F32);
    if float.is_none() {
        notes.push(format!(
            "no model has 32-bit floats, so the others are held against {}",
            nets[0].origin
        ));
    }
    let reference = float.unwrap_or(0);
    let other = nets[reference].clone();
    for net in &mut nets {
        net.refer_to(&other)?;
    }
    net::tell_apart(&mut nets);
    Ok((nets, reference))
}
