//! `[rtsp]`: where the RTSP server listens, and for whom.

use super::credentials;
use super::reader::Section;
use crate::publish::rtsp::RtspOptions;
use crate::source::Credentials;
use anyhow::Result;
use std::net::SocketAddr;
use std::path::Path;

/// The server as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtspConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Who may watch; without a password, anybody.
    pub credentials: Credentials,
    /// How many clients at once.
    pub clients: u32,
}

impl Default for RtspConfig {
    fn default() -> Self {
        let RtspOptions { listen, clients, .. } = RtspOptions::default();
        Self {
            listen,
            credentials: Credentials::default(),
            clients,
        }
    }
}

impl RtspConfig {
    /// The same, ready to use.
    ///
    /// # Errors
    /// 78 where a variable of the environment or the file of a password is missing.
    pub(crate) fn options(&self) -> Result<RtspOptions> {
        let login = self.credentials.resolve("rtsp")?;
        Ok(RtspOptions {
            listen: self.listen,
            login: login.user.zip(login.password),
            clients: self.clients,
            ..RtspOptions::default()
        })
    }
}

/// Reads `[rtsp]`. What is wrong is remembered with its place.
pub(super) fn read(section: &mut Section<'_>, base: &Path) -> RtspConfig {
    let default = RtspConfig::default();
    let config = RtspConfig {
        listen: section.text("listen", address).unwrap_or(default.listen),
        credentials: credentials(section, base),
        clients: section.number("clients", clients).unwrap_or(default.clients),
    };
    let Credentials {
        user,
        password,
        password_file,
    } = &config.credentials;
    let has_password = password.is_some() || password_file.is_some();
    match (user.is_some(), has_password) {
        (true, false) => section.problem("user", "found a user without a password, wanted both or none"),
        (false, true) => section.problem("password", "found a password without a user, wanted both or none"),
        (false, false) if !config.listen.ip().is_loopback() => {
            let found = config.listen;
            let text = format!("found {found}, which can be reached from outside, and no login; wanted user and password, or 127.0.0.1");
            section.problem("listen", &text);
        }
        _ => {}
    }
    config
}

/// An address with its port: `127.0.0.1:8554`, `[::1]:8554`, `0.0.0.0:8554`.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("found {text:?}, wanted ADDRESS:PORT, such as 127.0.0.1:8554 or 0.0.0.0:8554"))
}

fn clients(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| format!("found {text}, wanted a whole number of clients from 1 to 1000"))
}

#[cfg(test)]
mod tests {
    use super::super::reader::Document;
    use super::*;
    use crate::privacy::Secret;

    fn parsed(text: &str) -> Result<RtspConfig, String> {
        let mut document = Document::parse(text).map_err(|p| p[0].to_string())?;
        let config = document.section("rtsp", |section| read(section, Path::new("/base")));
        let problems = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        document.finish().map(|_| config).map_err(problems)
    }

    #[test]
    fn everything_is_read_and_what_is_not_there_has_its_default() {
        assert_eq!(parsed("").unwrap(), RtspConfig::default());
        let config = parsed("[rtsp]\nlisten = \"0.0.0.0:9000\"\nuser = \"me\"\npassword = \"hunter22\"\nclients = 5").unwrap();
        let options = config.options().unwrap();
        assert_eq!((options.listen.to_string(), options.clients), ("0.0.0.0:9000".into(), 5));
        assert_eq!(options.login, Some(("me".into(), Secret::new("hunter22"))));
        let config = parsed("[rtsp]\nlisten = \"[::1]:9000\"\nuser = \"me\"\npassword_file = \"secret\"").unwrap();
        assert_eq!(config.credentials.password_file.as_deref(), Some(Path::new("/base/secret")));
        let error = config.options().unwrap_err().to_string();
        assert!(error.starts_with("rtsp.password_file /base/secret cannot be read"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, wanted) in [
            ("listen = \"8554\"", "2:10: rtsp.listen: found \"8554\", wanted ADDRESS:PORT"),
            (
                "listen = \"0.0.0.0:8554\"",
                "2:1: rtsp.listen: found 0.0.0.0:8554, which can be reached",
            ),
            ("user = \"me\"", "2:1: rtsp.user: found a user without a password"),
            ("password = \"hunter22\"", "2:1: rtsp.password: found a password without a user"),
            ("clients = 0", "2:11: rtsp.clients: found 0, wanted"),
            ("port = 1", "2:1: unknown key \"port\" in [rtsp]"),
        ] {
            let error = parsed(&format!("[rtsp]\n{text}")).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
            assert!(!error.contains("hunter22"));
        }
    }
}
