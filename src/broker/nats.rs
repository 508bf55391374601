//! NATS JetStream: a stream on the server stores what is published to its subjects and acknowledges it.

use super::link::{Broker, Link, PATIENCE, Parcel, Receipt, WINDOW};
use super::topic::plain;
use super::{BrokerOptions, Topic};
use crate::source::Login;
use anyhow::{Result, anyhow, bail};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use std::collections::VecDeque;
use std::error::Error;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

/// Most bytes that a stream keeps which is made here; the oldest go.
const STREAM_BYTES: i64 = 1 << 30;

/// How to connect.
pub(super) struct Nats {
    address: String,
    login: Login,
    topic: Topic,
    create_stream: Option<String>,
}

/// A connection.
pub(super) struct NatsLink {
    jetstream: Context,
    topic: Topic,
    events: UnboundedReceiver<Event>,
    answers: JoinSet<(Sent, Result<(), PublishError>)>,
    /// Known without the server.
    ready: VecDeque<Receipt>,
}

struct Sent {
    number: u64,
    subject: String,
}

impl Nats {
    pub fn new(options: &BrokerOptions, login: Login) -> Self {
        Self {
            address: options.address.to_string(),
            login,
            topic: options.topic.clone(),
            create_stream: options.create_stream.clone(),
        }
    }

    /// Makes the stream if it is missing; one that is there stays as it is.
    async fn make_stream(&self, jetstream: &Context, name: &str) -> Result<()> {
        let config = Config {
            name: name.into(),
            subjects: vec![self.topic.filter()],
            max_bytes: STREAM_BYTES,
            discard: DiscardPolicy::Old,
            ..Config::default()
        };
        let made = jetstream.get_or_create_stream(config).await;
        made.map_err(|error| anyhow!("the stream {name:?} cannot be made: {}", whole(&error)))?;
        Ok(())
    }
}

impl Broker for Nats {
    type Link = NatsLink;

    async fn connect(&mut self) -> Result<NatsLink> {
        let (tx, rx) = unbounded_channel();
        let mut options = ConnectOptions::new()
            .name("maskline")
            .connection_timeout(PATIENCE)
            .client_capacity(2 * WINDOW)
            .ignore_discovered_servers()
            .max_reconnects(1) // we connect again ourselves, and send again what was not acknowledged
            .event_callback(move |event| {
                tx.send(event).ok();
                std::future::ready(())
            });
        options = match (&self.login.user, &self.login.password) {
            (Some(user), password) => {
                let password = password.as_ref().map_or("", |password| password.reveal());
                options.user_and_password(user.clone(), password.into())
            }
            (None, Some(token)) => options.token(token.reveal().into()),
            (None, None) => options,
        };
        let client = options.connect(&self.address).await.map_err(|error| match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                anyhow!("the login is refused: wanted user and password, or a token as password alone, that the server knows")
            }
            _ => anyhow!("{}", whole(&error)),
        })?;
        let jetstream = jetstream::new(client);
        if let Some(name) = &self.create_stream {
            self.make_stream(&jetstream, name).await?;
        }
        Ok(NatsLink {
            jetstream,
            topic: self.topic.clone(),
            events: rx,
            answers: JoinSet::new(),
            ready: VecDeque::new(),
        })
    }
}

impl Link for NatsLink {
    async fn publish(&mut self, parcel: Parcel) -> Result<()> {
        let sent = Sent {
            number: parcel.number,
            subject: self.topic.of(&parcel.stream, parcel.kind),
        };
        let message = PublishMessage::build()
            .payload(parcel.bytes.into())
            .message_id(parcel.id)
            .header("maskline-stream", plain(&parcel.stream).as_str());
        match self.jetstream.send_publish(sent.subject.clone(), message).await {
            Ok(answer) => {
                self.answers.spawn(async move { (sent, answer.await.map(drop)) });
                Ok(())
            }
            Err(error) => self.judge(sent, &error).map(|receipt| self.ready.push_back(receipt)),
        }
    }

    async fn receipt(&mut self) -> Result<Receipt> {
        loop {
            if let Some(receipt) = self.ready.pop_front() {
                return Ok(receipt);
            }
            tokio::select! {
                Some(answer) = self.answers.join_next() => match answer {
                    Ok((sent, Ok(()))) => return Ok(Receipt::Acknowledged(sent.number)),
                    Ok((sent, Err(error))) => return self.judge(sent, &error),
                    Err(error) => bail!("waiting for an acknowledgement failed: {error}"),
                },
                event = self.events.recv() => match event {
                    Some(Event::ServerError(error)) => bail!("the server says: {error}"),
                    Some(Event::Disconnected | Event::Closed) | None => bail!("the connection was lost"),
                    Some(_) => {}
                },
            }
        }
    }
}

impl NatsLink {
    fn judge(&self, sent: Sent, error: &PublishError) -> Result<Receipt> {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Ok(Receipt::Refused(sent.number, whole(error))),
            PublishErrorKind::StreamNotFound => bail!(
                "no JetStream stream takes the subject {:?}: make one that does, or let create_stream name one to be made",
                sent.subject
            ),
            _ => bail!("{}", whole(error)),
        }
    }
}

/// An error with its causes, in one line.
fn whole(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !line.contains(&said) {
            line = format!("{line}: {said}");
        }
        next = cause.source();
    }
    line
}
