//! Who may ask: whoever knows the token, or everybody where none is set.

use super::fail::Fail;
use crate::error::{Kind, fault};
use crate::privacy::Secret;
use crate::source::expand;
use anyhow::Result;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::path::Path;
use subtle::ConstantTimeEq;

/// Shorter tokens can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What is compared: never the token itself, so that neither its length nor its beginning shows in the time it takes.
type Hash = [u8; 32];

/// Knows the token.
#[derive(Debug)]
pub(super) struct Auth {
    token: Option<Hash>,
    /// What the cookie holds: made from the token, so that a new token ends all logins, and never the token itself, since
    /// whatever else runs on this host sees the cookie as well.
    session: String,
    cookie: String,
    tls: bool,
}

impl Auth {
    /// `port` makes the name of the cookie: browsers send cookies of one port to all others of a host.
    pub fn new(token: Option<&Secret>, port: u16, tls: bool) -> Self {
        let token = token.map(|t| t.reveal());
        let session = token.map_or(Hash::default(), |t| hash(&format!("maskline session {t}")));
        Self {
            token: token.map(hash),
            session: session.iter().map(|byte| format!("{byte:02x}")).collect(),
            cookie: format!("maskline-{port}"),
            tls,
        }
    }

    /// Whether a token is wanted at all.
    pub fn is_needed(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request brings the token as `Authorization: Bearer`. A browser never does so by itself.
    pub fn has_bearer(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        given.is_some_and(|token| self.is_token(token))
    }

    /// Whether a request may see anything.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        !self.is_needed() || self.has_bearer(headers) || self.has_cookie(headers)
    }

    /// The cookie for whoever knows the token.
    pub fn log_in(&self, token: &str) -> Result<String, Fail> {
        match self.is_token(token) || !self.is_needed() {
            true => Ok(self.set_cookie(&self.session, "")),
            false => Err(Fail::new(StatusCode::UNAUTHORIZED, "this is not the token")),
        }
    }

    /// What makes a browser forget the cookie.
    pub fn log_out(&self) -> String {
        self.set_cookie("", "; Max-Age=0")
    }

    fn set_cookie(&self, value: &str, more: &str) -> String {
        let secure = if self.tls { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", self.cookie)
    }

    fn is_token(&self, given: &str) -> bool {
        self.token.is_some_and(|token| token.ct_eq(&hash(given)).into())
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == self.cookie && value.as_bytes().ct_eq(self.session.as_bytes()).into())
    }
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// The token that is in use: that of the configuration, or the first line of a file.
///
/// # Errors
/// 78 where the file cannot be read or a variable is not set, and for a token that can be guessed.
pub(super) fn token(token: Option<&Secret>, file: Option<&Path>) -> Result<Option<Secret>> {
    let token = match file {
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| {
                let line = format!("server.token_file {} cannot be read: {error}", file.display());
                fault(Kind::Config, line)
            })?;
            Some(Secret::new(text.lines().next().unwrap_or_default().trim()))
        }
        None => {
            let variable = |name: &str| env::var(name).ok();
            let expanded = token.map(|token| expand("server.token", token.reveal(), variable)).transpose()?;
            expanded.map(Secret::new)
        }
    };
    if let Some(length) = token.as_ref().map(|t| t.reveal().len()).filter(|n| *n < SHORTEST_TOKEN) {
        let line =
            format!("the token of [server] has {length} characters, wanted at least {SHORTEST_TOKEN}: openssl rand -hex 16 makes one");
        return Err(fault(Kind::Config, line));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn auth() -> Auth {
        Auth::new(Some(&Secret::new(TOKEN)), 8080, true)
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn the_token_opens_and_nothing_like_it_does() {
        let auth = auth();
        assert!(auth.admits(&headers("authorization", &format!("Bearer {TOKEN}"))));
        assert!(auth.admits(&headers("authorization", &format!("bearer {TOKEN}"))));
        for bad in ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Basic 0123456789abcdef", TOKEN] {
            assert!(!auth.admits(&headers("authorization", bad)), "{bad}");
        }
        assert!(!auth.admits(&HeaderMap::new()));
        assert!(Auth::new(None, 1, false).admits(&HeaderMap::new()));
        assert!(!Auth::new(None, 1, false).has_bearer(&headers("authorization", "Bearer x")));
    }

    #[test]
    fn a_login_gives_a_cookie_that_opens_and_is_not_the_token() {
        let auth = auth();
        let set = auth.log_in(TOKEN).unwrap();
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{set}");
        assert!(!set.contains(TOKEN));
        let cookie = set.split(';').next().unwrap();
        assert!(auth.admits(&headers("cookie", &format!("other=1; {cookie}"))));
        assert!(!auth.admits(&headers("cookie", &cookie.replace("maskline-8080", "maskline-8081"))));
        assert!(!auth.admits(&headers("cookie", "maskline-8080=")));
        assert!(!auth.admits(&headers("cookie", &format!("maskline-8080={TOKEN}"))));
        assert_eq!(auth.log_in("wrong").unwrap_err().status, StatusCode::UNAUTHORIZED);
        let renewed = Auth::new(Some(&Secret::new("fedcba9876543210")), 8080, true);
        assert!(!renewed.admits(&headers("cookie", cookie)));
    }

    #[test]
    fn a_token_comes_from_a_file_and_must_be_long() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, format!("{TOKEN}\nmore")).unwrap();
        assert_eq!(token(None, Some(&file)).unwrap().unwrap().reveal(), TOKEN);
        let missing = token(None, Some(&folder.path().join("none"))).unwrap_err().to_string();
        assert!(missing.contains("none cannot be read"), "{missing}");
        let short = token(Some(&Secret::new("hunter2")), None).unwrap_err().to_string();
        assert!(short.contains("has 7 characters") && !short.contains("hunter2"), "{short}");
        let unset = token(Some(&Secret::new("${MASKLINE_NO_SUCH_VARIABLE}")), None)
            .unwrap_err()
            .to_string();
        assert!(
            unset.contains("server.token wants the variable MASKLINE_NO_SUCH_VARIABLE"),
            "{unset}"
        );
        assert_eq!(token(None, None).unwrap(), None);
    }
}
