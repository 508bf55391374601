//! `[[broker]]`.

use super::credentials;
use super::paths::path;
use super::reader::Section;
use super::values;
use crate::broker::{Address, BrokerOptions, Protocol, SpoolOptions, Topic};
use std::path::Path;

/// One broker; none where something in it is wrong, which has been said then. Relative paths count from `base`.
pub(super) fn broker(section: &mut Section<'_>, base: &Path) -> Option<BrokerOptions> {
    section.require("url");
    section.require("spool");
    let address = section.text("url", Address::parse);
    let protocol = address.as_ref().map(Address::protocol);
    let topic = section.text("topic", |topic| match protocol {
        Some(protocol) => Topic::parse(protocol, topic).map(Some),
        None => Ok(None), // whose rules it has to follow is not known
    });
    let credentials = credentials(section, base);
    let create_stream = section.text("create_stream", stream_name);
    if create_stream.is_some() && protocol.is_some_and(|protocol| protocol != Protocol::Nats) {
        section.problem("create_stream", "it is for nats:// alone, leave it out");
    }
    let folder = section.text("spool", values::not_empty).map(|folder| path(&folder, base));
    let max_bytes = section.text("spool_bytes", spool_bytes);
    let topic = if section.has("topic") { topic?? } else { Topic::usual(protocol?) };
    Some(BrokerOptions {
        address: address?,
        topic,
        credentials,
        create_stream,
        spool: SpoolOptions {
            folder: folder?,
            max_bytes: max_bytes.unwrap_or(SpoolOptions::USUAL_BYTES),
        },
    })
}

fn spool_bytes(text: &str) -> Result<u64, String> {
    let bytes = values::bytes(text)?;
    match bytes >= SpoolOptions::LEAST_BYTES {
        true => Ok(bytes),
        false => Err(format!("found {text:?}, wanted at least 1MB")),
    }
}

/// The name of a JetStream stream.
fn stream_name(text: &str) -> Result<String, String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match (1..=255).contains(&text.len()) && text.chars().all(sound) {
        true => Ok(text.into()),
        false => Err(format!("found {text:?}, wanted a name of letters, digits, - and _")),
    }
}

#[cfg(test)]
#[cfg(all(feature = "mqtt", feature = "nats"))]
mod tests {
    use super::super::reader::Document;
    use super::*;
    use crate::source::Credentials;

    fn read(text: &str) -> Result<Vec<BrokerOptions>, Vec<String>> {
        let mut document = Document::parse(text).unwrap();
        let brokers = document.tables("broker", |section| broker(section, Path::new("deploy")));
        let problems = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        document.finish().map_err(problems)?;
        Ok(brokers.into_iter().flatten().collect())
    }

    #[test]
    fn a_broker_has_what_its_table_says_and_the_usual_else() {
        let brokers = read(
            r#"
            [[broker]]
            url = "mqtt://broker.lan"
            spool = "spool/mqtt"
            [[broker]]
            url = "nats://broker.lan:5222"
            topic = "cams.{stream}.{kind}"
            user = "me"
            password_file = "secret"
            create_stream = "CAMS"
            spool = "/var/spool/maskline"
            spool_bytes = "1GB"
            "#,
        );
        let [mqtt, nats] = &brokers.unwrap()[..] else {
            panic!("two brokers")
        };
        assert_eq!(mqtt.address.to_string(), "mqtt://broker.lan:1883");
        assert_eq!(mqtt.topic, Topic::usual(Protocol::Mqtt));
        assert_eq!(
            (mqtt.spool.folder.as_path(), mqtt.spool.max_bytes),
            (Path::new("deploy/spool/mqtt"), 256_000_000)
        );
        assert_eq!((&mqtt.create_stream, &mqtt.credentials), (&None, &Credentials::default()));
        assert_eq!(nats.topic, Topic::parse(Protocol::Nats, "cams.{stream}.{kind}").unwrap());
        assert_eq!(nats.credentials.password_file.as_deref(), Some(Path::new("deploy/secret")));
        assert_eq!((nats.create_stream.as_deref(), nats.spool.max_bytes), (Some("CAMS"), 1_000_000_000));
        assert_eq!(nats.spool.folder, Path::new("/var/spool/maskline"));
    }

    #[test]
    fn everything_wrong_in_a_broker_is_said_with_its_place() {
        let problems = read(
            r#"[[broker]]
url = "mqtts://me:secret@broker.lan"
topic = "a/#"
[[broker]]
url = "mqtt://broker.lan"
topic = "a/#"
password = "a"
password_file = "b"
create_stream = "A"
spool = "a"
spool_bytes = "0.5MB"
retries = 3
"#,
        )
        .unwrap_err();
        let wanted = [
            ("1:", "broker[0].spool is missing"),
            ("2:7:", "wanted mqtt://HOST:PORT"),
            ("6:9:", "wanted a topic without + and #"),
            ("8:1:", "wanted one of them"),
            ("9:1:", "it is for nats:// alone"),
            ("11:15:", "wanted at least 1MB"),
            ("12:1:", "unknown key \"retries\""),
        ];
        assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
        for (problem, (place, text)) in problems.iter().zip(wanted) {
            assert!(problem.starts_with(place) && problem.contains(text), "{problem}: {place} {text}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
