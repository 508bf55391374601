//! Values as people write them, the same in flags and in pipeline files. Every error says what was found and what was
//! wanted, without the name of the flag or key, which the caller knows.

use crate::sink::Speed;
use crate::temporal::{Every, OLDEST_FRAMES};
use std::time::Duration;

/// Anything but nothing.
///
/// # Errors
/// If the text is empty.
pub fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("found an empty text, wanted a name or a path".into());
    }
    Ok(text.into())
}

/// `WIDTHxHEIGHT` in pixels.
///
/// # Errors
/// If it is not two numbers from 1 to 16384.
pub fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |t: &str| t.parse().ok().filter(|n| (1..=16384).contains(n));
    text.split_once(['x', 'X'])
        .and_then(|(w, h)| Some((side(w)?, side(h)?)))
        .ok_or_else(|| format!("found {text:?}, wanted WIDTHxHEIGHT in pixels, such as 544x320"))
}

/// A share from 0 to 1.
///
/// # Errors
/// If it is no number, not finite or not from 0 to 1.
pub fn alpha(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|a| (0.0..=1.0).contains(a))
        .ok_or_else(|| format!("found {text}, wanted a number from 0 (invisible) to 1 (opaque)"))
}

/// A number of frames, at least one.
///
/// # Errors
/// If it is no whole number or 0.
pub fn frames(text: &str) -> Result<u64, String> {
    whole(text, "frames", u64::MAX)
}

/// How often the net runs: every so many frames (1 for each of them), or `auto`.
///
/// # Errors
/// If it is neither `auto` nor a whole number from 1 to 24.
pub fn every(text: &str) -> Result<Every, String> {
    if text == "auto" {
        return Ok(Every::Auto);
    }
    let most = OLDEST_FRAMES;
    text.parse()
        .ok()
        .filter(|n| (1..=most).contains(n))
        .map(Every::Frames)
        .ok_or_else(|| format!("found {text}, wanted auto or a whole number of frames from 1 to {most}"))
}

/// Frames per second.
///
/// # Errors
/// If it is no number above 0 and at most 1000.
pub fn fps(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|fps| *fps > 0.0 && *fps <= 1000.0)
        .ok_or_else(|| format!("found {text}, wanted frames per second above 0, at most 1000"))
}

/// A time in milliseconds.
///
/// # Errors
/// If it is no number above 0 and at most an hour.
pub fn milliseconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ms| *ms > 0.0 && *ms <= 3.6e6)
        .ok_or_else(|| format!("found {text}, wanted milliseconds above 0"))
}

/// How old a frame may be, in milliseconds.
///
/// # Errors
/// As [`milliseconds`].
pub fn max_age(text: &str) -> Result<Duration, String> {
    milliseconds(text).map(|ms| Duration::from_secs_f64(ms / 1e3))
}

/// How long a silence may be, in seconds or `M:S`.
///
/// # Errors
/// As [`time_ns`], and for less than a tenth of a second.
pub fn stall_after(text: &str) -> Result<Duration, String> {
    let silence = Duration::from_nanos(time_ns(text)?);
    match silence >= Duration::from_millis(100) {
        true => Ok(silence),
        false => Err(format!("found {text}, wanted at least 0.1 seconds")),
    }
}

/// A number of attempts, at least one.
///
/// # Errors
/// If it is no whole number from 1 to 1000000.
pub fn attempts(text: &str) -> Result<u32, String> {
    whole(text, "attempts", 1_000_000).map(|n| n as u32)
}

/// A part of the whole.
///
/// # Errors
/// If it is no number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|s| (0.0..=1.0).contains(s))
        .ok_or_else(|| format!("found {text}, wanted a share from 0 to 1, such as 0.95"))
}

/// Points of a measure in per cent.
///
/// # Errors
/// If it is no number from 0 to 100.
pub fn points(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|p| (0.0..=100.0).contains(p))
        .ok_or_else(|| format!("found {text}, wanted points from 0 to 100"))
}

/// Weight of what was before.
///
/// # Errors
/// If it is no number from 0 to below 1.
pub fn smooth(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|s| (0.0..1.0).contains(s))
        .ok_or_else(|| format!("found {text}, wanted a number from 0 (none) to below 1"))
}

/// The weight for one class: `CLASS=S`.
///
/// # Errors
/// If there is no `=`, no name before it or no weight behind it.
pub fn smooth_of(text: &str) -> Result<(String, f32), String> {
    match text.rsplit_once('=') {
        Some((class, weight)) if !class.is_empty() => Ok((class.into(), smooth(weight)?)),
        _ => Err(format!("found {text:?}, wanted CLASS=S, such as car=0.6")),
    }
}

/// A number of threads, at least one.
///
/// # Errors
/// If it is no whole number from 1 to 1024.
pub fn threads(text: &str) -> Result<usize, String> {
    whole(text, "threads", 1024).map(|n| n as usize)
}

/// A number of sessions of a net, at least one.
///
/// # Errors
/// If it is no whole number from 1 to 64.
pub fn sessions(text: &str) -> Result<usize, String> {
    whole(text, "sessions", 64).map(|n| n as usize)
}

/// Frames that run through a net at once.
///
/// # Errors
/// If it is no whole number from 1 to 64.
pub fn batch(text: &str) -> Result<usize, String> {
    whole(text, "frames in a batch", 64).map(|n| n as usize)
}

/// A number of streams.
///
/// # Errors
/// If it is no whole number from 1 to 1024.
pub fn streams(text: &str) -> Result<usize, String> {
    whole(text, "streams", 1024).map(|n| n as usize)
}

fn whole(text: &str, what: &str, most: u64) -> Result<u64, String> {
    text.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| match most {
        u64::MAX => format!("found {text}, wanted a whole number of {what}, at least 1"),
        _ => format!("found {text}, wanted a whole number of {what}, at least 1 and at most {most}"),
    })
}

/// How much time H.264 takes for a smaller file, by the names of x264.
///
/// # Errors
/// If it is not one of those there are.
pub fn speed(text: &str) -> Result<Speed, String> {
    let found = SPEEDS.iter().find(|(name, _)| *name == text);
    found.map(|(_, speed)| *speed).ok_or_else(|| {
        let names: Vec<_> = SPEEDS.iter().map(|(name, _)| *name).collect();
        format!("found {text:?}, wanted one of {}", names.join(", "))
    })
}

const SPEEDS: [(&str, Speed); 6] = [
    ("ultrafast", Speed::Ultrafast),
    ("superfast", Speed::Superfast),
    ("veryfast", Speed::Veryfast),
    ("faster", Speed::Faster),
    ("fast", Speed::Fast),
    ("medium", Speed::Medium),
];

/// Constant quality of a video.
///
/// # Errors
/// If it is no whole number from 0 to 51.
pub fn quality(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|q| *q <= 51)
        .ok_or_else(|| format!("found {text}, wanted a whole number from 0 (best) to 51"))
}

/// Frames per second: `25`, `29.97` or `30000/1001`.
///
/// # Errors
/// If it is not above 0 and at most 1000.
pub fn rate(text: &str) -> Result<(u32, u32), String> {
    let fraction = match text.split_once('/') {
        Some((n, d)) => n.parse().ok().zip(d.parse().ok()),
        None => text
            .parse::<f64>()
            .ok()
            .filter(|r| (0.001..=1000.0).contains(r))
            .map(|r| ((r * 1000.0).round() as u32, 1000)),
    };
    fraction
        .filter(|&(n, d)| n > 0 && d > 0 && n / d <= 1000)
        .map(|(n, d)| (n / gcd(n, d), d / gcd(n, d)))
        .ok_or_else(|| format!("found {text}, wanted frames per second, such as 25 or 30000/1001"))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A time in nanoseconds from seconds (`90`, `12.5`) or from `[H:]M:S`.
///
/// # Errors
/// If a part is no number, or negative, or minutes or seconds behind a colon are 60 and more.
pub fn time_ns(text: &str) -> Result<u64, String> {
    let wrong = || format!("found {text:?}, wanted a time: seconds (12.5) or [H:]M:S (1:02:03.5)");
    let parts: Vec<_> = text.split(':').collect();
    let (seconds, higher) = parts.split_last().ok_or_else(wrong)?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: f64 = Some(*seconds)
        .filter(|s| digits(s))
        .and_then(|s| s.parse().ok())
        .ok_or_else(wrong)?;
    if higher.len() > 2 || (!higher.is_empty() && seconds >= 60.0) {
        return Err(wrong());
    }
    let mut minutes = 0_u64;
    for (i, part) in higher.iter().enumerate() {
        let n: u64 = part.parse().map_err(|_| wrong())?;
        if n > 1_000_000 || (i > 0 && n >= 60) {
            return Err(wrong());
        }
        minutes = minutes * 60 + n;
    }
    let whole = minutes as f64 * 60.0 + seconds;
    if whole > 1e9 {
        return Err(wrong());
    }
    Ok((whole * 1e9).round() as u64)
}

/// A span of time in nanoseconds: `500ms`, `2s`, `1.5s`, `10m`, `1h`.
///
/// # Errors
/// If it is no number with one of these units, or more than a day.
pub fn span_ns(text: &str) -> Result<u64, String> {
    let number = |digits: &str, unit_ns: f64| {
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let number = digits.parse::<f64>().ok().filter(|_| plain)?;
        Some((number * unit_ns).round()).filter(|ns| *ns <= 86_400e9)
    };
    let units = [("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let ns = units.iter().find_map(|(unit, ns)| Some((text.strip_suffix(unit)?, *ns)));
    ns.and_then(|(digits, unit_ns)| number(digits, unit_ns))
        .map(|ns| ns as u64)
        .ok_or_else(|| format!("found {text:?}, wanted a time with its unit, such as 2s or 500ms"))
}

/// A number of bytes with its unit: `500MB`, `1.5TB`, `2GiB`.
///
/// # Errors
/// If it is no number above 0 with one of these units.
pub fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 6] = [
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let parts = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?.trim_end(), *bytes)));
    let number = |digits: &str| {
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        digits.parse::<f64>().ok().filter(|n| plain && *n > 0.0 && *n <= 1e6)
    };
    parts
        .and_then(|(digits, unit)| Some((number(digits)? * unit as f64).round() as u64))
        .ok_or_else(|| format!("found {text:?}, wanted bytes with their unit, such as 500MB, 20GB or 1TiB"))
}

/// A number of days, at least one.
///
/// # Errors
/// If it is no whole number from 1 to 36500.
pub fn days(text: &str) -> Result<u32, String> {
    whole(text, "days", 36_500).map(|n| n as u32)
}

/// Segments in a playlist.
///
/// # Errors
/// If it is no whole number from 3 to 1000.
pub fn playlist(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (3..=1000).contains(n));
    number.ok_or_else(|| format!("found {text}, wanted a whole number of segments from 3 to 1000"))
}

/// A span of time above nothing.
///
/// # Errors
/// Those of [`span_ns`], and if it is 0.
pub fn interval_ns(text: &str) -> Result<u64, String> {
    match span_ns(text)? {
        0 => Err(format!("found {text:?}, wanted an interval above 0, such as 1s")),
        ns => Ok(ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_has_its_unit() {
        assert_eq!(span_ns("2s"), Ok(2_000_000_000));
        assert_eq!(span_ns("1.5s"), Ok(1_500_000_000));
        assert_eq!(span_ns("500ms"), Ok(500_000_000));
        assert_eq!(span_ns("0s"), Ok(0));
        assert_eq!((span_ns("10m"), span_ns("24h")), (Ok(600_000_000_000), Ok(86_400_000_000_000)));
        for bad in [
            "2", "", "s", "ms", "-1s", "1e3s", "NaNs", "infs", "m", "25h", "90000s", "2 s", "..s",
        ] {
            assert!(span_ns(bad).unwrap_err().contains("2s or 500ms"), "{bad}");
        }
        assert_eq!(interval_ns("1s"), Ok(1_000_000_000));
        assert!(interval_ns("0s").unwrap_err().contains("above 0") && interval_ns("1").is_err());
    }

    #[test]
    fn bytes_have_their_unit() {
        assert_eq!(
            (bytes("500MB"), bytes("1.5 GiB"), bytes("2TB")),
            (Ok(500_000_000), Ok(3 << 29), Ok(2_000_000_000_000))
        );
        for bad in ["500", "", "MB", "-1MB", "0GB", "1e3MB", "NaNGB", "infTB", "5kB", "9999999TB"] {
            assert!(bytes(bad).unwrap_err().contains("such as 500MB"), "{bad}");
        }
        assert!(days("30").is_ok() && days("0").is_err() && playlist("3").is_ok() && playlist("2").is_err());
    }

    #[test]
    fn a_time_is_seconds_or_clock_notation() {
        assert_eq!(time_ns("12.5"), Ok(12_500_000_000));
        assert_eq!(time_ns("1:02"), Ok(62_000_000_000));
        assert_eq!(time_ns("1:02:03.5"), Ok(3_723_500_000_000));
        assert_eq!(time_ns("90:00"), Ok(5_400_000_000_000));
        for bad in ["", "-1", "1:60", "1:61:00", "1:2:3:4", "abc", "1e3", "NaN", "inf", ":", "1:"] {
            assert!(time_ns(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_alpha_outside_0_to_1_is_refused_and_so_is_nan() {
        assert_eq!(alpha("0"), Ok(0.0));
        assert_eq!(alpha("1"), Ok(1.0));
        for bad in ["-0.1", "1.01", "NaN", "nan", "inf", "half"] {
            assert!(alpha(bad).unwrap_err().contains("from 0"), "{bad}");
        }
    }

    #[test]
    fn sizes_counts_and_rates() {
        assert_eq!(size("544x320"), Ok((544, 320)));
        for bad in ["544", "0x320", "544x", "544x-1", "99999x2", "axb"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(frames("100"), Ok(100));
        assert!(frames("0").is_err() && frames("-1").is_err() && frames("1.5").is_err());
        assert_eq!((every("auto"), every("4")), (Ok(Every::Auto), Ok(Every::Frames(4))));
        assert!(every("0").is_err() && every("25").is_err() && every("often").unwrap_err().contains("auto"));
        assert!(fps("60").is_ok() && fps("0").is_err() && fps("NaN").is_err() && fps("inf").is_err());
        assert!(smooth("0").is_ok() && smooth("1").is_err() && smooth("NaN").is_err() && smooth("-0.1").is_err());
        assert!(milliseconds("80").is_ok() && milliseconds("0").is_err() && milliseconds("NaN").is_err());
        assert!(stall_after("2.5").is_ok() && stall_after("0").is_err() && attempts("3") == Ok(3) && attempts("0").is_err());
        assert!(share("0.95").is_ok() && share("95").is_err() && points("1.5").is_ok() && points("-1").is_err());
        assert!(threads("0").is_err() && threads("9999").is_err());
        assert_eq!(speed("fast"), Ok(Speed::Fast));
        assert!(speed("warp").unwrap_err().contains("ultrafast, superfast"));
        assert!(quality("0").is_ok() && quality("51").is_ok() && quality("52").is_err() && quality("-1").is_err());
        assert_eq!(rate("25"), Ok((25, 1)));
        assert_eq!(rate("30000/1001"), Ok((30000, 1001)));
        assert_eq!(rate("12.5"), Ok((25, 2)));
        for bad in ["0", "-5", "25/0", "0/1", "NaN", "1e9"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
