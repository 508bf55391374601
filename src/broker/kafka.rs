//! Kafka: records of one stream go to one partition, so that their order stays.

use super::link::{Broker, Link, PATIENCE, Parcel, Receipt};
use super::{BrokerOptions, Topic};
use crate::source::Login;
use anyhow::{Context, Result, anyhow, bail};
use rskafka::BackoffConfig;
use rskafka::chrono::DateTime;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use rskafka::record::Record;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Most bytes of records in one request: half of what brokers take by default, since a batch has its own overhead.
const BATCH_BYTES: usize = 512 << 10;
/// The header of a record with its id.
const ID: &str = "maskline-id";

/// How to connect.
pub(super) struct Kafka {
    address: String,
    login: Login,
    topic: Topic,
}

/// A connection.
pub(super) struct KafkaLink {
    client: Client,
    topic: Topic,
    /// The partitions of each topic.
    partitions: BTreeMap<String, Vec<i32>>,
    outlets: HashMap<(String, i32), Outlet>,
    answers: JoinSet<Answer>,
    /// Most bytes of a batch; 0 for one record each.
    batch_bytes: usize,
    ready: VecDeque<Receipt>,
}

/// One partition. It has one request on its way at a time, which keeps the order.
struct Outlet {
    client: Arc<PartitionClient>,
    waiting: VecDeque<(u64, Record)>,
    is_busy: bool,
}

/// What became of a batch.
struct Answer {
    place: (String, i32),
    batch: Vec<(u64, Record)>,
    outcome: Result<Vec<i64>, Error>,
}

impl Kafka {
    pub fn new(options: &BrokerOptions, login: Login) -> Self {
        Self {
            address: format!("{}:{}", options.address.host(), options.address.port()),
            login,
            topic: options.topic.clone(),
        }
    }
}

impl Broker for Kafka {
    type Link = KafkaLink;

    async fn connect(&mut self) -> Result<KafkaLink> {
        let mut builder = ClientBuilder::new(vec![self.address.clone()])
            .client_id("maskline")
            .backoff_config(BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(1),
                base: 3.0,
                deadline: Some(PATIENCE / 2), // after that we connect anew ourselves
            });
        if let Some(user) = &self.login.user {
            let password = self.login.password.as_ref().map_or("", |password| password.reveal());
            builder = builder.sasl_config(SaslConfig::Plain(Credentials::new(user.clone(), password.into())));
        }
        let client = builder.build().await?;
        Ok(KafkaLink {
            partitions: partitions(&client).await?,
            client,
            topic: self.topic.clone(),
            outlets: HashMap::new(),
            answers: JoinSet::new(),
            batch_bytes: BATCH_BYTES,
            ready: VecDeque::new(),
        })
    }
}

async fn partitions(client: &Client) -> Result<BTreeMap<String, Vec<i32>>> {
    let topics = client.list_topics().await?;
    Ok(topics
        .into_iter()
        .map(|topic| (topic.name, topic.partitions.into_iter().collect()))
        .collect())
}

impl Link for KafkaLink {
    async fn publish(&mut self, parcel: Parcel) -> Result<()> {
        let topic = self.topic.of(&parcel.stream, parcel.kind);
        let partitions = self.partitions.get(&topic).filter(|partitions| !partitions.is_empty());
        let Some(partitions) = partitions else {
            bail!("there is no topic {topic:?}: create it");
        };
        let partition = partitions[crc32fast::hash(parcel.stream.as_bytes()) as usize % partitions.len()];
        let place = (topic, partition);
        if !self.outlets.contains_key(&place) {
            let client = self.client.partition_client(&place.0, partition, UnknownTopicHandling::Error);
            let outlet = Outlet {
                client: Arc::new(client.await?),
                waiting: VecDeque::new(),
                is_busy: false,
            };
            self.outlets.insert(place.clone(), outlet);
        }
        let outlet = self.outlets.get_mut(&place).context("an outlet that was just made is there")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            key: Some(parcel.stream.into_bytes()),
            value: Some(parcel.bytes),
            headers: [(ID.to_owned(), parcel.id.into_bytes())].into(),
            timestamp: DateTime::from_timestamp_millis(now.as_millis() as i64).unwrap_or_default(),
        };
        outlet.waiting.push_back((parcel.number, record));
        Ok(())
    }

    async fn receipt(&mut self) -> Result<Receipt> {
        loop {
            if let Some(receipt) = self.ready.pop_front() {
                return Ok(receipt);
            }
            self.send_batches();
            match self.answers.join_next().await {
                Some(Ok(answer)) => self.judge(answer)?,
                Some(Err(error)) => bail!("waiting for an acknowledgement failed: {error}"),
                None => std::future::pending().await, // nothing was sent
            }
        }
    }
}

impl KafkaLink {
    fn send_batches(&mut self) {
        for (place, outlet) in &mut self.outlets {
            if outlet.is_busy || outlet.waiting.is_empty() {
                continue;
            }
            let mut batch = Vec::new();
            let mut bytes = 0;
            while let Some((number, record)) = outlet.waiting.pop_front() {
                bytes += record.approximate_size();
                if bytes > self.batch_bytes && !batch.is_empty() {
                    outlet.waiting.push_front((number, record));
                    break;
                }
                batch.push((number, record));
            }
            outlet.is_busy = true;
            let (client, place) = (outlet.client.clone(), place.clone());
            let records = batch.iter().map(|(_, record)| record.clone()).collect();
            self.answers.spawn(async move {
                let outcome = client.produce(records, Compression::NoCompression).await;
                Answer { place, batch, outcome }
            });
        }
    }

    fn judge(&mut self, answer: Answer) -> Result<()> {
        let outlet = self
            .outlets
            .get_mut(&answer.place)
            .context("an outlet stays while its batch is on its way")?;
        outlet.is_busy = false;
        let numbers = answer.batch.iter().map(|(number, _)| *number);
        match answer.outcome {
            Ok(_) => self.ready.extend(numbers.map(Receipt::Acknowledged)),
            Err(error) if !is_too_large(&error) => return Err(anyhow!("{error}")),
            Err(_) if answer.batch.len() > 1 => {
                // Which of them it is comes out one by one.
                self.batch_bytes = 0;
                answer.batch.into_iter().rev().for_each(|record| outlet.waiting.push_front(record));
            }
            Err(error) => self.ready.extend(numbers.map(|number| Receipt::Refused(number, error.to_string()))),
        }
        Ok(())
    }
}

fn is_too_large(error: &Error) -> bool {
    matches!(
        error,
        Error::ServerError {
            protocol_error: ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge,
            ..
        }
    )
}
