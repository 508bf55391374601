//! What messages are called at the broker.

use super::{MessageKind, Protocol};

/// The topic (NATS: subject) of messages, with places for the stream and the kind of message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    protocol: Protocol,
    template: String,
}

const STREAM: &str = "{stream}";
const KIND: &str = "{kind}";
/// Most bytes of an MQTT topic, by its two bytes of length; far more than NATS lets a subject have by default (4 KiB).
const LONGEST: usize = 4096;
/// Most bytes of the name of a Kafka topic.
const LONGEST_KAFKA: usize = 249;

impl Topic {
    /// What messages are called where nobody says it.
    pub fn usual(protocol: Protocol) -> Self {
        let template = match protocol {
            Protocol::Mqtt => "maskline/{stream}/{kind}",
            Protocol::Nats => "maskline.{stream}.{kind}",
            Protocol::Kafka => "maskline.{kind}",
        };
        Self {
            protocol,
            template: template.into(),
        }
    }

    /// Reads a template such as `maskline/{stream}/{kind}`.
    ///
    /// # Errors
    /// If it has other braces, or something that the protocol does not allow in a topic.
    pub fn parse(protocol: Protocol, template: &str) -> Result<Self, String> {
        let fixed = template.replace(STREAM, "").replace(KIND, "");
        if fixed.contains(['{', '}']) {
            return Err(format!("found {template:?}, wanted no braces but those of {STREAM} and {KIND}"));
        }
        let wrong = match protocol {
            _ if template.is_empty() || template.len() > LONGEST => Some("a name of 1 to 4096 bytes"),
            Protocol::Mqtt if fixed.contains(['+', '#']) => Some("a topic without + and #"),
            Protocol::Mqtt if fixed.contains(char::is_control) => Some("a topic without control characters"),
            Protocol::Mqtt | Protocol::Nats if template.starts_with('$') => Some("a topic that does not begin with $"),
            Protocol::Nats if fixed.contains(['*', '>']) => Some("a subject without * and >"),
            Protocol::Nats if fixed.contains(|c: char| c.is_whitespace() || c.is_control()) => Some("a subject without blanks"),
            Protocol::Nats if template.split('.').any(str::is_empty) => Some("a subject with something between its dots"),
            Protocol::Kafka if !fixed.chars().all(is_kafka) => Some("a topic of letters, digits, dot, _ and -"),
            Protocol::Kafka if template.len() > LONGEST_KAFKA || matches!(template, "." | "..") => Some("a name of 1 to 249 bytes"),
            _ => None,
        };
        match wrong {
            Some(wanted) => Err(format!("found {template:?}, wanted {wanted}")),
            None => Ok(Self {
                protocol,
                template: template.into(),
            }),
        }
    }

    /// Whose rules it follows.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The topic of a message. In MQTT and NATS two streams never share one; in Kafka they may, and the key tells them apart.
    pub(super) fn of(&self, stream: &str, kind: MessageKind) -> String {
        let name = match self.protocol {
            Protocol::Mqtt => escaped(stream, |c| matches!(c, '/' | '+' | '#' | '$' | '%') || is_odd(c)),
            Protocol::Nats => escaped(stream, |c| {
                matches!(c, '.' | '*' | '>' | '$' | '%') || is_odd(c) || c.is_whitespace()
            }),
            Protocol::Kafka => stream.chars().map(|c| if is_kafka(c) { c } else { '_' }).collect(),
        };
        let mut topic = self.template.replace(KIND, kind.name()).replace(STREAM, &name);
        if self.protocol == Protocol::Kafka {
            topic.truncate(LONGEST_KAFKA);
        }
        topic
    }

    /// The NATS filter that takes every subject of this template.
    #[cfg(feature = "nats")]
    pub(super) fn filter(&self) -> String {
        let token = |token| if str::contains(token, '{') { "*" } else { token };
        self.template.split('.').map(token).collect::<Vec<_>>().join(".")
    }
}

/// What brokers take for damage in a text: control characters, and code points that are none (Unicode 16, section 23.7).
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

/// A name as it may stand in a property or a header: with blanks for what may not, and none at its ends.
#[cfg(any(feature = "mqtt", feature = "nats"))]
pub(super) fn plain(name: &str) -> String {
    name.replace(is_odd, " ").trim().to_owned()
}

fn is_kafka(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// `name` with what is `reserved` as `%XX`; an empty name is `%`.
fn escaped(name: &str, reserved: impl Fn(char) -> bool) -> String {
    let mut escaped = String::new();
    for c in name.chars() {
        if reserved(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                escaped += &format!("%{byte:02X}");
            }
        } else {
            escaped.push(c);
        }
    }
    if escaped.is_empty() { "%".into() } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_any_name_is_one_level_of_a_topic_and_none_is_another() {
        let mqtt = Topic::usual(Protocol::Mqtt);
        assert_eq!(mqtt.of("cam 1", MessageKind::Frame), "maskline/cam 1/frame");
        assert_eq!(
            mqtt.of("a/../#+\n%n$", MessageKind::Event),
            "maskline/a%2F..%2F%23%2B%0A%25n%24/event"
        );
        assert_eq!(mqtt.of("a\u{85}\u{ffff}", MessageKind::Event), "maskline/a%C2%85%EF%BF%BF/event");
        assert_eq!(mqtt.of("", MessageKind::Event), "maskline/%/event");
        assert_eq!(mqtt.of("{kind}", MessageKind::Event), "maskline/{kind}/event");
        let nats = Topic::usual(Protocol::Nats);
        assert_eq!(nats.of("cam 1.a*>", MessageKind::Frame), "maskline.cam%201%2Ea%2A%3E.frame");
        assert_eq!(nats.of("straße", MessageKind::Frame), "maskline.straße.frame");
        assert_ne!(nats.of("a.b", MessageKind::Frame), nats.of("a%2Eb", MessageKind::Frame));
        let kafka = Topic::parse(Protocol::Kafka, "cams.{stream}").unwrap();
        assert_eq!(kafka.of("a/b ß", MessageKind::Frame), "cams.a_b__");
        assert_eq!(kafka.of(&"x".repeat(999), MessageKind::Frame).len(), 249);
    }

    #[test]
    #[cfg(feature = "nats")]
    fn the_filter_of_a_template_takes_its_subjects() {
        assert_eq!(Topic::usual(Protocol::Nats).filter(), "maskline.*.*");
        assert_eq!(Topic::parse(Protocol::Nats, "a.cam-{stream}.b").unwrap().filter(), "a.*.b");
    }

    #[test]
    fn what_a_protocol_does_not_allow_is_refused() {
        for (protocol, template) in [
            (Protocol::Mqtt, ""),
            (Protocol::Mqtt, "a/{name}"),
            (Protocol::Mqtt, "a/{"),
            (Protocol::Mqtt, "a/#"),
            (Protocol::Mqtt, "$SYS/a"),
            (Protocol::Mqtt, "a\n"),
            (Protocol::Nats, "a..b"),
            (Protocol::Nats, "a b"),
            (Protocol::Nats, "a.>"),
            (Protocol::Nats, "$JS.a"),
            (Protocol::Kafka, "a/b"),
            (Protocol::Kafka, "straße"),
            (Protocol::Kafka, ".."),
        ] {
            let error = Topic::parse(protocol, template).unwrap_err();
            assert!(error.contains("wanted"), "{protocol:?} {template:?}: {error}");
        }
        for protocol in [Protocol::Mqtt, Protocol::Nats, Protocol::Kafka] {
            let usual = Topic::usual(protocol);
            assert_eq!(Topic::parse(protocol, &usual.template), Ok(usual));
        }
    }
}
