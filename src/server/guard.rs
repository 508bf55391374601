//! What a browser must not be talked into: pages of others that send commands (CSRF), and names of others that lead here
//! (DNS rebinding).

use super::fail::Fail;
use axum::http::header::{HOST, ORIGIN, UPGRADE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use std::net::IpAddr;

/// Knows the names under which this server is to be reached.
#[derive(Debug)]
pub(super) struct Guard {
    /// The address that it listens on.
    bound: IpAddr,
    /// Other places whose pages may send commands, such as `https://cams.example.org`: the same server behind a proxy.
    origins: Vec<String>,
}

impl Guard {
    pub fn new(bound: IpAddr, origins: &[String]) -> Self {
        let origins = origins.iter().map(|o| o.to_ascii_lowercase()).collect();
        Self { bound, origins }
    }

    /// Whether the server was called by a name of its own, and a command comes from a page of its own.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Fail> {
        let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        if !self.knows_host(host) {
            let line = format!("the host {host:?} is not one of this server: call it by its address, or list it in server.origins");
            return Err(Fail::new(StatusCode::FORBIDDEN, line));
        }
        let harmless = matches!(*method, Method::GET | Method::HEAD) && !headers.contains_key(UPGRADE);
        // Programs send no Origin; browsers do with everything that is not harmless.
        let origin = headers.get(ORIGIN).map(|o| o.to_str().unwrap_or_default().to_ascii_lowercase());
        match origin.filter(|_| !harmless) {
            Some(origin) if !self.is_own(&origin, host) => {
                let line =
                    format!("the origin {origin:?} may not send commands: use the page of this server, or list it in server.origins");
                Err(Fail::new(StatusCode::FORBIDDEN, line))
            }
            _ => Ok(()),
        }
    }

    /// An address cannot be another's name, so those that lead here are all right. A foreign name may be: whoever owns it
    /// points it at this machine, and a page of his is then a page of this server.
    fn knows_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().to_ascii_lowercase();
        let listed = |origin: &String| origin.split_once("://").is_some_and(|(_, place)| place.eq_ignore_ascii_case(host));
        if name == "localhost" || self.origins.iter().any(listed) {
            return true;
        }
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| address == self.bound || address.is_loopback() || !self.bound.is_loopback())
    }

    fn is_own(&self, origin: &str, host: &str) -> bool {
        let place = origin.split_once("://").map(|(_, place)| place);
        place.is_some_and(|place| place.eq_ignore_ascii_case(host)) || self.origins.iter().any(|own| own == origin)
    }
}

/// What every answer tells a browser: nothing of others is loaded, nobody else may frame or embed it, nothing is kept.
pub(super) fn dress(mut response: Response) -> Response {
    const HEADERS: [(&str, &str); 6] = [
        (
            "content-security-policy",
            "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn guard(bound: &str) -> Guard {
        Guard::new(bound.parse().unwrap(), &["https://Cams.example.org".to_owned()])
    }

    #[test]
    fn a_foreign_name_is_refused_and_an_own_one_is_not() {
        let local = guard("127.0.0.1");
        let asks = |guard: &Guard, host: &str| guard.check(&Method::GET, &headers(&[("host", host)])).is_ok();
        for own in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LOCALHOST",
            "[::1]:8080",
            "127.0.0.2",
            "cams.example.org",
            "CAMS.example.org",
        ] {
            assert!(asks(&local, own), "{own}");
        }
        for foreign in [
            "evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.5:8080",
            "localhost.evil.example",
            "cams.example.org:81",
            "a@localhost@b",
            " ",
        ] {
            assert!(!asks(&local, foreign), "{foreign}");
        }
        assert!(local.check(&Method::GET, &HeaderMap::new()).is_err(), "no host at all");
        assert!(asks(&guard("0.0.0.0"), "192.168.1.5:8080") && !asks(&guard("0.0.0.0"), "evil.example"));
    }

    #[test]
    fn only_an_own_page_sends_commands() {
        let guard = guard("127.0.0.1");
        let check = |method: Method, more: &[(&'static str, &str)]| {
            let all = [&[("host", "127.0.0.1:8080")], more].concat();
            guard.check(&method, &headers(&all)).is_ok()
        };
        assert!(check(Method::POST, &[]), "a program");
        assert!(check(Method::POST, &[("origin", "http://127.0.0.1:8080")]));
        assert!(check(Method::DELETE, &[("origin", "https://cams.example.org")]));
        for foreign in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:81",
            "http://127.0.0.1:8080.evil.example",
            "127.0.0.1:8080",
            "",
        ] {
            assert!(!check(Method::PATCH, &[("origin", foreign)]), "{foreign}");
            assert!(!check(Method::GET, &[("origin", foreign), ("upgrade", "websocket")]), "{foreign}");
        }
        assert!(
            check(Method::GET, &[("origin", "http://evil.example")]),
            "it cannot read the answer"
        );
    }
}
