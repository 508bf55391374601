//! What people get to see of an address: neither who logs in with what, nor what its query holds.

use std::fmt;

/// `text` with every address in it (`SCHEME://...`, up to a blank) shown without user info and without the values of its
/// query.
///
/// Everything up to an address's last `@` goes, since a password may hold any character.
pub fn shown(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || c.is_control()).unwrap_or(after.len());
        shown += before;
        shown += &address(&after[..end]);
        rest = &after[end..];
    }
    shown + rest
}

/// The same for what stands behind `://`.
fn address(text: &str) -> String {
    let text = text.rsplit('@').next().unwrap_or_default();
    let text = text.split('#').next().unwrap_or_default();
    let Some((place, query)) = text.split_once('?') else {
        return text.into();
    };
    let hide = |pair: &str| pair.split_once('=').map_or(HIDDEN.into(), |(key, _)| format!("{key}={HIDDEN}"));
    let pairs: Vec<_> = query.split('&').map(hide).collect();
    format!("{place}?{}", pairs.join("&"))
}

const HIDDEN: &str = "***";
/// Shorter secrets are not looked for in foreign texts: they are parts of ordinary words.
const SHORTEST_SECRET: usize = 4;

/// A text that is used but never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever has to use it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` without it.
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        match self.0.len() {
            0..SHORTEST_SECRET => text.into(),
            _ => text.replace(&self.0, HIDDEN),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_user_info_and_without_the_values_of_its_query() {
        for (text, wanted) in [
            ("rtsp://me:secret@camera:554/1", "rtsp://camera:554/1"),
            ("rtsp://me:se@cr/e?t@camera/1", "rtsp://camera/1"),
            (
                "srt://host:9000?passphrase=secret&mode=caller&x",
                "srt://host:9000?passphrase=***&mode=***&***",
            ),
            ("http://host/a.m3u8?token=se@cret#secret", "http://cret"),
            (
                "cannot open rtsp://me:secret@a/1, nor http://b?k=secret: gone",
                "cannot open rtsp://a/1, nor http://b?k=*** gone",
            ),
            ("a.mp4 is no video", "a.mp4 is no video"),
        ] {
            assert_eq!(shown(text), wanted);
        }
    }

    #[test]
    fn a_secret_is_not_shown_by_accident() {
        let secret = Secret::new("hunter22");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.hidden_in("login with hunter22 failed"), "login with *** failed");
        assert_eq!(Secret::new("a").hidden_in("a camera"), "a camera");
    }
}
