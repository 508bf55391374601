//! Options that change nothing in a run: said once, since whoever wrote them expects something of them.

use crate::config::PipelineConfig;
use crate::infer::Provider;
use crate::messages::MessageOptions;
use crate::overlay::OverlayOptions;
use crate::source::{LiveOptions, is_address};
use crate::temporal::TemporalOptions;
use std::path::Path;

/// One line for every option that is set and has nothing to act on. `taken` is the provider that runs the net, `recurrent`
/// whether the net has a memory.
pub(super) fn notes(config: &PipelineConfig, taken: &str, recurrent: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |unused: bool, key: &str, why: &str| {
        if unused {
            notes.push(format!("{} changes nothing: {why}", config.places.name(key)));
        }
    };
    let on_cpu = taken == Provider::Cpu.as_str();
    note(
        config.session.device.is_some() && on_cpu,
        "execution.device",
        "the net runs on the CPU",
    );
    let on_card = [Provider::Cuda, Provider::TensorRt].iter().any(|p| taken == p.as_str());
    let threads = config.session.threads.is_some();
    note(threads && on_card, "execution.threads", &format!("the net runs on {taken}"));
    let several = config.session.sessions.is_some_and(|n| n > 1);
    let why = "a net that remembers must see every frame in one session";
    note(several && recurrent, "execution.sessions", why);

    let input = &config.source.input;
    let timed = input.starts_with("test:") || Path::new(input).is_file();
    let rate = config.source.image_rate.is_some();
    let (live, device) = (is_address(input), input.starts_with("device:"));
    let why = "it is for pictures and devices, and this input has its own times";
    note(rate && (timed || live && !device), "source.rate", why);
    let decoded = Path::new(input).is_file() || live;
    note(
        config.source.threads.is_some() && !decoded,
        "source.threads",
        "it is for encoded video",
    );
    let (set, usual) = (&config.source.live_options, LiveOptions::default());
    let kept_young = live || config.source.live && Path::new(input).is_file();
    let why = "it is for addresses, devices and files with --live";
    note(!kept_young && set.max_age != usual.max_age, "source.max_age_ms", why);
    let why = "it is for sources that can be lost";
    note(!live && set.stall_after != usual.stall_after, "source.stall_after", why);
    note(!live && set.attempts.is_some(), "source.attempts", why);
    let over_rtsp = input.to_ascii_lowercase().starts_with("rtsp");
    note(
        set.transport != usual.transport && !over_rtsp,
        "source.rtsp_transport",
        "it is for rtsp://",
    );
    note(set.size.is_some() && !device, "source.size", "it is for device:");
    let logs_in = live && !device && !input.to_ascii_lowercase().starts_with("udp:");
    let login = &set.credentials;
    let why = "nobody logs in there";
    note(login.user.is_some() && !logs_in, "source.user", why);
    note(login.password.is_some() && !logs_in, "source.password", why);
    note(login.password_file.is_some() && !logs_in, "source.password_file", why);

    let (temporal, usual) = (&config.temporal, TemporalOptions::default());
    let why = "every frame is inferred by itself (--every, or every in [temporal])";
    let every = !temporal.is_wanted();
    // A net that remembers hears of cuts by the motion.
    note(every && !recurrent && temporal.motion != usual.motion, "temporal.motion", why);
    note(every && !live && temporal.lookahead != usual.lookahead, "temporal.lookahead", why);

    if config.output.json.is_none() {
        let (messages, usual) = (&config.messages, MessageOptions::default());
        let why = "no JSON lines are written (--json, or json in [output])";
        note(messages.regions, "messages.regions", why);
        note(messages.rle, "messages.rle", why);
        note(messages.every_ns.is_some(), "messages.every", why);
        note(messages.min_area != usual.min_area, "messages.min_area", why);
    } else {
        let usual = MessageOptions::default().min_area;
        let min_area = config.messages.min_area != usual && !config.messages.regions;
        note(
            min_area,
            "messages.min_area",
            "no regions are listed (--regions, or regions in [messages])",
        );
    }

    if config.output.video.is_none() {
        let (drawn, usual, seen) = (&config.overlay, OverlayOptions::default(), config.output.window);
        let why = "no masked video is written (--output, or video in [output])";
        note(drawn.alpha != usual.alpha && !seen, "overlay.alpha", why);
        note(drawn.only.is_some() && !seen, "overlay.only", why);
        note(drawn.outlines && !seen, "overlay.outlines", why);
        note(drawn.confidence && !seen, "overlay.confidence", why);
        note(config.output.speed.is_some(), "output.speed", why);
        note(config.output.quality.is_some(), "output.quality", why);
        note(config.output.threads.is_some(), "output.threads", why);
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Transport;
    use crate::temporal::Every;

    #[test]
    fn what_has_nothing_to_act_on_is_said_and_what_has_is_not() {
        let mut config = PipelineConfig::default();
        config.source.input = "test:".into();
        assert_eq!(notes(&config, "cpu", true), [""; 0]);
        config.session.device = Some("3".into());
        config.session.threads = Some(2);
        config.session.sessions = Some(2);
        config.source.threads = Some(2);
        config.output.threads = Some(2);
        config.source.image_rate = Some((10, 1));
        config.overlay.outlines = true;
        config.temporal.lookahead = false;
        config.output.quality = Some(30);
        config.messages.rle = true;
        config.messages.every_ns = Some(1);
        let said = notes(&config, "cpu", true);
        let flags: Vec<_> = said.iter().map(|l| l.split(' ').next().unwrap()).collect();
        let wanted =
            "--device --sessions --rate --decoder-threads --no-lookahead --rle --json-every --outlines --quality --encoder-threads";
        assert_eq!(flags.join(" "), wanted);
        assert!(
            said[0].contains("the CPU") && said[5].contains("--json") && said[7].contains("--output"),
            "{said:?}"
        );
        config.output.video = Some("a.mp4".into());
        config.source.live_options.attempts = Some(3);
        config.source.live_options.transport = Transport::Udp;
        let said = notes(&config, "cuda", false).join("\n");
        assert!(
            said.contains("--attempts changes nothing") && said.contains("--rtsp-transport changes nothing"),
            "{said}"
        );
        config.source.input = "rtsp://camera/1".into();
        let said = notes(&config, "cuda", false).join("\n");
        assert!(
            !said.contains("--attempts") && !said.contains("--rtsp") && said.contains("--rate"),
            "{said}"
        );
        config.source.live_options = LiveOptions::default();
        config.output.json = Some("a.jsonl".into());
        config.messages.min_area = 0.1;
        config.source.input = "pictures".into();
        config.temporal.every = Every::Auto;
        config.source.threads = None;
        let said = notes(&config, "cuda", false);
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[0], "--threads changes nothing: the net runs on cuda");
        assert!(said[1].starts_with("--min-area changes nothing: no regions"), "{said:?}");
    }
}
