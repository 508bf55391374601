//! Where a broker is.

use crate::privacy::{Secret, shown};
use crate::source::Login;
use percent_encoding::percent_decode_str;
use std::fmt;
use url::Url;

/// How a broker is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// MQTT 5, QoS 1.
    Mqtt,
    /// NATS JetStream.
    Nats,
    /// Kafka.
    Kafka,
}

/// Scheme of the address, protocol, usual port, feature of this crate, and whether that is built in.
const PROTOCOLS: [(&str, Protocol, u16, bool); 3] = [
    ("mqtt", Protocol::Mqtt, 1883, cfg!(feature = "mqtt")),
    ("nats", Protocol::Nats, 4222, cfg!(feature = "nats")),
    ("kafka", Protocol::Kafka, 9092, cfg!(feature = "kafka")),
];
const WANTED: &str = "wanted mqtt://HOST:PORT, nats://HOST:PORT or kafka://HOST:PORT";

/// The address of a broker. It shows as `SCHEME://HOST:PORT`, without who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    protocol: Protocol,
    /// IPv6 in brackets.
    host: String,
    port: u16,
    login: Login,
}

impl Address {
    /// Reads `SCHEME://[USER:PASSWORD@]HOST[:PORT]`.
    ///
    /// # Errors
    /// One line that does not repeat what must not be shown, also for a protocol that this program was built without.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = shown(text);
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let Some((scheme, protocol, port, built_in)) = PROTOCOLS.into_iter().find(|p| p.0 == scheme) else {
            return Err(format!("found {name:?}, {WANTED} (without TLS)"));
        };
        if !built_in {
            return Err(format!(
                "found {name}, but this program was built without {scheme}: build it with --features {scheme}"
            ));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(format!(
                "found a blank in an address that begins with {scheme}://, {WANTED}; a password has %20 for it"
            ));
        }
        let url = Url::parse(text).map_err(|why| format!("{name:?} is no address ({why}), {WANTED}"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let sound = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
        if host.is_empty() || !host.chars().all(sound) || url.port() == Some(0) {
            return Err(format!("found no host or port in {name:?}, {WANTED}"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("found more than a host and a port in {name:?}, {WANTED}"));
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Ok(Self {
            protocol,
            host,
            port: url.port().unwrap_or(port),
            login: Login {
                user: Some(decoded(url.username())).filter(|user| !user.is_empty()),
                password: url.password().map(|password| Secret::new(decoded(password))),
            },
        })
    }

    /// How it is spoken to.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Name or number of the machine; IPv6 in brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Who logs in, as far as the address says it.
    pub(super) fn login(&self) -> Login {
        self.login.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = PROTOCOLS.iter().find(|p| p.1 == self.protocol).map_or("", |p| p.0);
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
#[cfg(all(feature = "mqtt", feature = "nats"))]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_shown_without_its_login() {
        let address = Address::parse("mqtt://me:p%40ss@broker.lan").unwrap();
        assert_eq!(
            (address.protocol(), address.host(), address.port()),
            (Protocol::Mqtt, "broker.lan", 1883)
        );
        let login = address.login();
        assert_eq!((login.user.as_deref(), login.password), (Some("me"), Some(Secret::new("p@ss"))));
        assert_eq!(address.to_string(), "mqtt://broker.lan:1883");
        assert!(!format!("{address:?}").contains("p@ss"));
        assert_eq!(Address::parse("nats://[::1]:5222").unwrap().to_string(), "nats://[::1]:5222");
    }

    #[test]
    fn what_is_no_address_of_a_broker_is_answered_with_what_is_one() {
        for text in [
            "broker",
            "",
            "mqtts://me:secret@broker",
            "mqtt://",
            "mqtt://me:secret@",
            "nats://host:99999",
            "nats://host:0",
            "mqtt://host/path",
            "mqtt://host?k=secret",
            "mqtt://a b",
            "mqtt://a%nb",
            "mqtt://host\nsecret",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains("wanted mqtt://HOST:PORT"), "{text:?}: {error}");
            assert!(!error.contains("me:secret") && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    #[cfg(not(feature = "kafka"))]
    fn a_protocol_that_is_not_built_in_is_named_with_its_feature() {
        let error = Address::parse("kafka://me:secret@broker").unwrap_err();
        assert_eq!(
            error,
            "found kafka://broker, but this program was built without kafka: build it with --features kafka"
        );
    }
}
