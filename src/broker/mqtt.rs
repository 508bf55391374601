//! MQTT 5 with QoS 1: the broker acknowledges every message (PUBACK).

use super::link::{Broker, Link, PATIENCE, Parcel, Receipt, WINDOW};
use super::topic::plain;
use super::{BrokerOptions, Topic};
use crate::source::Login;
use anyhow::{Result, anyhow, bail};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Packet, PubAck, PubAckReason, PublishProperties};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

/// So often a connection without messages is tried.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The name of a message's id among its user properties.
const ID: &str = "maskline-id";

/// How to connect.
pub(super) struct Mqtt {
    options: MqttOptions,
    topic: Topic,
}

/// A connection.
pub(super) struct MqttLink {
    client: AsyncClient,
    topic: Topic,
    /// What happens on the connection: at most one event for each message that flies, and one for each ping.
    events: UnboundedReceiver<Result<Event, ConnectionError>>,
    driver: AbortHandle,
    /// Most bytes of a packet; the broker says it.
    largest: usize,
    /// Given to the client, which numbers them in this order.
    unnumbered: VecDeque<u64>,
    /// By the number that MQTT has for them.
    flying: HashMap<u16, u64>,
    /// Known without the broker.
    ready: VecDeque<Receipt>,
}

impl Mqtt {
    pub fn new(options: &BrokerOptions, login: Login) -> Self {
        let address = &options.address;
        // Two clients of one name throw each other out.
        let name = format!("maskline-{:012x}", fastrand::u64(..1 << 48));
        let mut mqtt = MqttOptions::new(name, address.host(), address.port());
        mqtt.set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(PATIENCE.as_secs())
            .set_outgoing_inflight_upper_limit(WINDOW as u16);
        if login.user.is_some() || login.password.is_some() {
            let password = login.password.as_ref().map_or("", |password| password.reveal());
            mqtt.set_credentials(login.user.unwrap_or_default(), password);
        }
        Self {
            options: mqtt,
            topic: options.topic.clone(),
        }
    }
}

impl Broker for Mqtt {
    type Link = MqttLink;

    async fn connect(&mut self) -> Result<MqttLink> {
        let (client, mut events) = AsyncClient::new(self.options.clone(), WINDOW);
        let hello = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(hello))) => hello,
            Ok(other) => bail!("found {other:?} as its first answer, wanted that of an MQTT 5 broker"),
            Err(error) => return Err(said(&error)),
        };
        let largest = hello.properties.and_then(|properties| properties.max_packet_size);
        let (tx, rx) = unbounded_channel();
        Ok(MqttLink {
            client,
            topic: self.topic.clone(),
            events: rx,
            driver: tokio::spawn(drive(events, tx)).abort_handle(),
            largest: largest.map_or(usize::MAX, |bytes| bytes as usize),
            unnumbered: VecDeque::new(),
            flying: HashMap::new(),
            ready: VecDeque::new(),
        })
    }
}

/// Polls the connection to its end. By itself, since a poll that is cancelled may lose a packet that it was writing.
async fn drive(mut events: EventLoop, tx: UnboundedSender<Result<Event, ConnectionError>>) {
    loop {
        let event = events.poll().await;
        let is_over = event.is_err(); // the next poll would connect again, and send what we send again ourselves
        if tx.send(event).is_err() || is_over {
            return;
        }
    }
}

impl Link for MqttLink {
    async fn publish(&mut self, parcel: Parcel) -> Result<()> {
        let topic = self.topic.of(&parcel.stream, parcel.kind);
        let properties = PublishProperties {
            user_properties: vec![(ID.into(), parcel.id), ("maskline-stream".into(), plain(&parcel.stream))],
            content_type: Some("application/json".into()),
            ..PublishProperties::default()
        };
        let named: usize = properties.user_properties.iter().map(|(key, value)| key.len() + value.len()).sum();
        let bytes = parcel.bytes.len() + topic.len() + named + 128; // for all the rest of a packet
        if bytes > self.largest {
            let why = format!(
                "it has {} bytes, the broker takes packets up to {}",
                parcel.bytes.len(),
                self.largest
            );
            self.ready.push_back(Receipt::Refused(parcel.number, why));
            return Ok(());
        }
        self.unnumbered.push_back(parcel.number);
        let sent = self
            .client
            .publish_with_properties(topic, QoS::AtLeastOnce, false, parcel.bytes, properties);
        sent.await.map_err(|_| anyhow!("the connection has ended"))
    }

    async fn receipt(&mut self) -> Result<Receipt> {
        loop {
            if let Some(receipt) = self.ready.pop_front() {
                return Ok(receipt);
            }
            match self.events.recv().await {
                Some(Ok(Event::Outgoing(Outgoing::Publish(packet)))) => {
                    let number = self.unnumbered.pop_front();
                    self.flying.extend(number.map(|number| (packet, number)));
                }
                Some(Ok(Event::Incoming(Packet::PubAck(answer)))) => {
                    if let Some(number) = self.flying.remove(&answer.pkid) {
                        return judged(number, &answer);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(said(&error)),
                None => bail!("the connection has ended"),
            }
        }
    }
}

impl Drop for MqttLink {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn judged(number: u64, answer: &PubAck) -> Result<Receipt> {
    match answer.reason {
        // Nobody listens just now: that is for the broker to know.
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(Receipt::Acknowledged(number)),
        PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid => {
            Ok(Receipt::Refused(number, format!("the broker says {:?}", answer.reason)))
        }
        PubAckReason::NotAuthorized => bail!("this user may not publish there: allow it at the broker"),
        reason => bail!("the broker took no message: {reason:?}"),
    }
}

fn said(error: &ConnectionError) -> anyhow::Error {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
            anyhow!("the login is refused: wanted user and password that the broker knows")
        }
        ConnectionError::ConnectionRefused(code) => anyhow!("the broker refuses the connection: {code:?}"),
        ConnectionError::Io(error) => anyhow!("{error}"),
        error => anyhow!("{error}"),
    }
}
