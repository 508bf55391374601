//! Addresses of live sources, taken apart.

use super::credentials::Login;
use crate::privacy::{Secret, shown};
use crate::source::pattern::{self, Pattern};
use percent_encoding::percent_decode_str;
use std::path::PathBuf;
use url::Url;

/// Where a live source is, without what must not be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Address {
    /// What it is called: the address without user info and values of a query.
    pub name: String,
    pub place: Place,
    pub login: Login,
}

/// The place itself. Addresses are without user info.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum Place {
    Rtsp(String),
    Http(String),
    /// Without its passphrase, which is the password.
    Srt(String),
    /// MPEG-TS that is sent there.
    Udp {
        host: String,
        port: u16,
    },
    /// A V4L2 device.
    Device(PathBuf),
    /// A file that is read at its own pace.
    File(PathBuf),
    /// A test pattern.
    Test(Pattern),
}

const SCHEMES: [&str; 6] = ["rtsp", "rtsps", "http", "https", "srt", "udp"];
const DEVICE: &str = "device:";

fn scheme(input: &str) -> Option<String> {
    let (scheme, _) = input.split_once("://")?;
    Some(scheme.to_ascii_lowercase())
}

/// Whether `input` names a live source by its form.
pub(in crate::source) fn is_address(input: &str) -> bool {
    input.starts_with(DEVICE) || scheme(input).is_some_and(|s| SCHEMES.contains(&s.as_str()))
}

impl Address {
    /// Takes an address apart; what is none is a file.
    ///
    /// # Errors
    /// One line that does not repeat what must not be shown.
    pub fn parse(input: &str) -> Result<Self, String> {
        let bare = |place| Self {
            name: input.to_owned(),
            place,
            login: Login::default(),
        };
        if let Some(device) = input.strip_prefix(DEVICE) {
            return match device {
                "" => Err("device: names no device, wanted one such as device:/dev/video0".into()),
                device => Ok(bare(Place::Device(device.into()))),
            };
        }
        if let Some(pattern) = input.strip_prefix("test:") {
            return pattern::parse(pattern).map(|pattern| bare(Place::Test(pattern)));
        }
        let Some(scheme) = scheme(input).filter(|_| is_address(input)) else {
            return Ok(bare(Place::File(input.into())));
        };
        if input.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(format!(
                "an address that begins with {scheme}:// has a blank in it: write %20 for it"
            ));
        }
        let name = shown(input);
        let mut url = Url::parse(input).map_err(|why| {
            format!("{name} is no address ({why}), wanted {scheme}://HOST:PORT/PATH; a password has %40 for @, %2F for / and %3F for ?")
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if host.is_empty() {
            return Err(format!(
                "{name} has no host, wanted {scheme}://HOST:PORT (0.0.0.0 for every address of this machine)"
            ));
        }
        let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut login = Login {
            user: Some(text(url.username())).filter(|u| !u.is_empty()),
            password: url.password().map(|p| Secret::new(text(p))),
        };
        // Where there is no place for a user in an address there is none to take out.
        url.set_username("").ok();
        url.set_password(None).ok();
        let needs_port = || url.port().ok_or_else(|| format!("{name} has no port, wanted {scheme}://HOST:PORT"));
        let place = match scheme.as_str() {
            "udp" => Place::Udp {
                port: needs_port()?,
                host: host.trim_matches(['[', ']']).to_owned(),
            },
            "srt" => {
                needs_port()?;
                let phrase = url
                    .query_pairs()
                    .find(|(key, _)| key == "passphrase")
                    .map(|(_, value)| value.into_owned());
                login.password = phrase.map(Secret::new).or(login.password);
                let kept: Vec<_> = url
                    .query()
                    .unwrap_or_default()
                    .split('&')
                    .filter(|p| !p.starts_with("passphrase=") && !p.is_empty())
                    .map(str::to_owned)
                    .collect();
                url.set_query(Some(kept.join("&").as_str()).filter(|q| !q.is_empty()));
                Place::Srt(url.into())
            }
            "rtsp" | "rtsps" => Place::Rtsp(url.into()),
            _ => Place::Http(url.into()),
        };
        Ok(Self { name, place, login })
    }

    /// The same with what `[source]` says about who logs in, which counts for more than what stands in the address.
    pub fn with(self, login: Login) -> Self {
        Self {
            login: login.or(self.login),
            ..self
        }
    }

    /// Whether its end is the end of the input and not a loss.
    pub fn is_file(&self) -> bool {
        matches!(self.place, Place::File(_) | Place::Test(_))
    }

    /// Whether frames come faster than they are to be shown, so that a clock must hold them back.
    pub fn needs_clock(&self) -> bool {
        matches!(self.place, Place::File(_) | Place::Http(_))
    }

    /// Whether there may be sound.
    pub fn may_have_sound(&self) -> bool {
        !matches!(self.place, Place::Device(_) | Place::Test(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn an_address_is_taken_apart_and_its_name_shows_no_secret() {
        let camera = parse("rtsp://me:pa%40ss@camera:8554/live?channel=1");
        assert_eq!(camera.name, "rtsp://camera:8554/live?channel=***");
        assert_eq!(camera.place, Place::Rtsp("rtsp://camera:8554/live?channel=1".into()));
        assert_eq!(
            (camera.login.user.as_deref(), camera.login.password),
            (Some("me"), Some(Secret::new("pa@ss")))
        );
        let srt = parse("srt://host:9000?mode=caller&passphrase=secret123");
        assert_eq!(srt.place, Place::Srt("srt://host:9000?mode=caller".into()));
        assert_eq!(srt.login.password, Some(Secret::new("secret123")));
        let udp = parse("udp://239.1.2.3:5000");
        assert_eq!(
            udp.place,
            Place::Udp {
                host: "239.1.2.3".into(),
                port: 5000
            }
        );
        assert_eq!(parse("device:/dev/video0").place, Place::Device("/dev/video0".into()));
        assert_eq!(parse("HTTPS://host/a.m3u8").place, Place::Http("https://host/a.m3u8".into()));
        assert_eq!(parse("a.mp4").place, Place::File("a.mp4".into()));
    }

    #[test]
    fn what_is_no_address_is_said_without_its_secrets() {
        for (text, part) in [
            ("rtsp://me:se/cret@camera/1", "%2F for /"),
            ("rtsp://me:se cret@camera/1", "%20"),
            ("udp://host", "no port"),
            ("srt://me:secret@host", "no port"),
            ("rtsp:///secret", "address"),
            ("device:", "/dev/video0"),
        ] {
            let error = Address::parse(text).map(|a| a.name).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(
                !error.contains("se/cret") && !error.contains("se cret") && !error.contains("me:"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_the_section_says_counts_for_more_than_the_address() {
        let own = Login {
            user: None,
            password: Some(Secret::new("own")),
        };
        let login = parse("rtsp://me:secret@camera/1").with(own).login;
        assert_eq!((login.user.as_deref(), login.password), (Some("me"), Some(Secret::new("own"))));
    }
}
