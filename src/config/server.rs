//! `[server]`: how the HTTP server is reached, and by whom.

use super::paths::path;
use super::reader::Section;
use super::values;
use crate::privacy::Secret;
use crate::server::ServerOptions;
use std::net::SocketAddr;
use std::path::Path;

/// Reads the section; paths in it count from `base`. What is wrong is remembered with its place.
pub(super) fn read(section: &mut Section<'_>, base: &Path) -> ServerOptions {
    let default = ServerOptions::default();
    let options = ServerOptions {
        listen: section.text("listen", address).unwrap_or(default.listen),
        token: section.text("token", values::not_empty).map(Secret::new),
        token_file: section.text("token_file", values::not_empty).map(|f| path(&f, base)),
        tls: tls(section, base),
        origins: section.texts("origins").unwrap_or_default(),
    };
    if section.has("token") && section.has("token_file") {
        section.problem("token_file", "found both token and token_file, wanted one of them");
    }
    if let Some(problem) = options.origins.iter().find_map(|o| origin(o).err()) {
        section.problem("origins", &problem);
    }
    let guarded = section.has("token") || section.has("token_file");
    if !guarded && !options.listen.ip().is_loopback() {
        let problem = format!("{} is reached by others: set token_file, or listen on 127.0.0.1", options.listen);
        section.problem("listen", &problem);
    }
    options
}

fn tls(section: &mut Section<'_>, base: &Path) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let mut file = |key| section.text(key, values::not_empty).map(|f| path(&f, base));
    match (file("tls_cert"), file("tls_key")) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (Some(_), None) if !section.has("tls_key") => {
            section.problem("tls_cert", "found a certificate without its key, wanted tls_key as well");
            None
        }
        (None, Some(_)) if !section.has("tls_cert") => {
            section.problem("tls_key", "found a key without its certificate, wanted tls_cert as well");
            None
        }
        _ => None,
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("found {text:?}, wanted ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080"))
}

/// `SCHEME://HOST[:PORT]`, as a browser writes it.
fn origin(text: &str) -> Result<(), String> {
    let wrong = || format!("found {text:?}, wanted an origin such as https://cams.example.org");
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization().eq_ignore_ascii_case(text);
    plain.then_some(()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader::Document;

    fn parse(text: &str) -> Result<ServerOptions, Vec<String>> {
        let mut document = Document::parse(text).map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let options = document.section("server", |s| read(s, Path::new("deep")));
        document
            .finish()
            .map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(options)
    }

    #[test]
    fn a_section_is_read_and_none_is_the_default() {
        assert_eq!(parse("").unwrap(), ServerOptions::default());
        let text = "[server]\nlisten = '0.0.0.0:9000'\ntoken_file = 'token'\ntls_cert = 'a.pem'\ntls_key = '../b.pem'\norigins = ['https://cams.example.org', 'http://box:8080']";
        let wanted = ServerOptions {
            listen: "0.0.0.0:9000".parse().unwrap(),
            token: None,
            token_file: Some("deep/token".into()),
            tls: Some(("deep/a.pem".into(), "b.pem".into())),
            origins: vec!["https://cams.example.org".into(), "http://box:8080".into()],
        };
        assert_eq!(parse(text).unwrap(), wanted);
    }

    #[test]
    fn what_cannot_be_is_named_with_its_place() {
        for (text, wanted) in [
            (
                "listen = '0.0.0.0:9000'",
                "2:1: server.listen: 0.0.0.0:9000 is reached by others: set token_file",
            ),
            (
                "listen = 'localhost:9000'",
                "2:10: server.listen: found \"localhost:9000\", wanted ADDRESS:PORT",
            ),
            ("token = 'a'\ntoken_file = 'b'", "3:1: server.token_file: found both"),
            ("tls_cert = 'a'", "2:1: server.tls_cert: found a certificate without its key"),
            ("tls_key = 'a'", "2:1: server.tls_key: found a key without"),
            ("origins = ['cams.example.org']", "2:1: server.origins: found \"cams.example.org\""),
            ("origins = ['https://cams.example.org/']", "2:1: server.origins: found"),
            ("origins = ['*']", "2:1: server.origins: found \"*\""),
            (
                "port = 1",
                "2:1: unknown key \"port\" in [server], wanted one of listen, token, token_file, tls_cert, tls_key, origins",
            ),
        ] {
            let problems = parse(&format!("[server]\n{text}")).unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with(wanted), "{text}: {problems:?}");
        }
        let secret = format!("{:?}", parse("[server]\ntoken = '0123456789abcdef'").unwrap());
        assert!(!secret.contains("0123456789"), "{secret}");
    }
}
