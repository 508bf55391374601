//! `maskline models`

use crate::cli::{ModelArgs, ModelsCommand};
use crate::console::print;
use crate::error::{Kind, WithKind};
use crate::infer::SessionOptions;
use crate::infer::verify::verify;
use anyhow::Result;
use maskline_models::contract::{Channels, Layout, OutputKind, Resize, Size};
use maskline_models::{Class, Contract, Model, builtin};
use std::fmt::Write;

/// Lists, shows or verifies models.
///
/// # Errors
/// Kind 78 if the model cannot be used.
pub fn run(command: &ModelsCommand) -> Result<()> {
    match command {
        ModelsCommand::List => print(list()?.trim_end()),
        ModelsCommand::Show(args) => print(show(&open(args)?).trim_end()),
        ModelsCommand::Verify(args) => {
            let options = SessionOptions {
                provider: args.provider,
                ..SessionOptions::default()
            };
            print(verify(&open(args)?, &options)?)
        }
    }
}

fn open(args: &ModelArgs) -> Result<Model> {
    Model::open(&args.model, args.contract.as_deref()).kind(Kind::Config)
}

fn list() -> Result<String> {
    let mut text = String::new();
    for name in builtin::names() {
        let model = Model::open(&format!("builtin:{name}"), None).kind(Kind::Config)?;
        let (size, contract) = (megabytes(&model), &model.contract);
        let miou = contract.training.as_ref().and_then(|t| t.miou);
        let miou = miou.map_or(String::new(), |m| format!("mIoU {:.1} % on its validation split, ", 100.0 * m));
        let default = if builtin::default() == Some(name) { " (default)" } else { "" };
        line(
            &mut text,
            format_args!(
                "{name}{default}: {} [{size:.1} MB, {miou}licence {}]",
                contract.description,
                or_unknown(&contract.licence)
            ),
        );
    }
    if text.is_empty() {
        line(
            &mut text,
            format_args!("this build has no built-in model; name an ONNX file with --model"),
        );
    }
    Ok(text)
}

fn show(model: &Model) -> String {
    let Contract {
        name,
        description,
        licence,
        input,
        heads,
        states,
        training,
        goldens,
        ..
    } = &model.contract;
    let mut text = String::new();
    line(&mut text, format_args!("{name}: {description}"));
    line(&mut text, format_args!("from      {} ({:.1} MB)", model.origin, megabytes(model)));
    line(&mut text, format_args!("sha256    {}", model.sha256()));
    line(&mut text, format_args!("licence   {}", or_unknown(licence)));
    let (layout, channels) = (layout(input.layout), channels(input.channels));
    let (size, resize) = (size(input.size), resize(input.resize));
    line(
        &mut text,
        format_args!("input     {}: {layout} {channels}, {size}, {resize}", input.tensor),
    );
    line(
        &mut text,
        format_args!("values    (pixel * {} - {:?}) / {:?}", input.scale, input.mean, input.std),
    );
    for head in heads {
        let kind = match head.kind {
            OutputKind::Logits => "logits",
            OutputKind::Probabilities => "probabilities",
            OutputKind::ClassIds => "class ids",
        };
        line(&mut text, format_args!("head      {}: {kind} in {}", head.name, head.tensor));
        if let Some(t) = head.temperature {
            line(
                &mut text,
                format_args!("  scores are divided by {t:.3} for calibrated probabilities"),
            );
        }
        match &head.confidence {
            Some(tensor) => line(&mut text, format_args!("  its confidence is in {tensor} (--confidence)")),
            None => line(&mut text, format_args!("  without a confidence")),
        }
        for class in &head.classes {
            line(
                &mut text,
                format_args!("  {:>3}  {}  {}{}", class.id, class.color, class.name, role(class)),
            );
        }
    }
    for state in states {
        let size = state
            .grid
            .map(|g| format!(": {} channels at 1/{} of the input's size", g.channels, g.stride));
        let size = size.unwrap_or_default();
        line(&mut text, format_args!("state     {} -> {}{size}", state.output, state.input));
    }
    if let Some(t) = training {
        let only = if t.rendered_only {
            "; no other picture chose among the weights"
        } else {
            ""
        };
        line(&mut text, format_args!("data      {}{only}", t.data.join(", ")));
        line(&mut text, format_args!("split     {}", or_unknown(&t.split)));
        if let Some(miou) = t.miou {
            line(&mut text, format_args!("mIoU      {:.1} %", 100.0 * miou));
        }
        line(
            &mut text,
            format_args!(
                "trained   {}, commit {}, seed {}; weights of epoch {}, after {:.1} h",
                t.date, t.commit, t.seed, t.epochs, t.hours
            ),
        );
        if !t.averaged.is_empty() {
            line(&mut text, format_args!("mean of   {}", t.averaged.join(", ")));
        }
        if !t.quantization.is_empty() {
            line(&mut text, format_args!("quantized {}", t.quantization));
        }
    }
    line(&mut text, format_args!("goldens   {}", goldens.len()));
    text
}

fn megabytes(model: &Model) -> f64 {
    model.onnx.len() as f64 / 1e6
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(text, "{what}").expect("a String takes everything");
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "not stated" } else { text }
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => "NCHW",
        Layout::Nhwc => "NHWC",
    }
}

fn channels(channels: Channels) -> &'static str {
    match channels {
        Channels::Rgb => "RGB",
        Channels::Bgr => "BGR",
    }
}

fn size(size: Size) -> String {
    match size {
        Size::Fixed { width, height } => format!("{width}x{height} only"),
        Size::Multiple { of, width, height } => format!("about {width}x{height} in multiples of {of}"),
    }
}

fn resize(resize: Resize) -> String {
    match resize {
        Resize::Stretch => "stretched".into(),
        Resize::Letterbox { pad } => format!("letterboxed with grey {pad}"),
    }
}

fn role(class: &Class) -> &'static str {
    match (class.ignore, class.background) {
        (true, _) => " (ignored)",
        (_, true) => " (background, not drawn)",
        _ => "",
    }
}
