//! A broker that fails as it is told: librdkafka's mock, which speaks Kafka's protocol on a real port.
//!
//! It checks no sequence numbers, and a request that it fails it does not append: what a retry could double or reorder on a
//! real broker is shown with the real one (`delivery_faults`).

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::cardhook::Topics;

/// The mock; stopped when dropped.
pub struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    pub topics: Topics,
}

impl Mock {
    /// One broker with the three topics; that of the events has three partitions.
    pub fn start() -> Self {
        let mock = Self::without_topics();
        mock.create_topic(&mock.topics.events, 3);
        mock.create_topic(&mock.topics.dlq, 1);
        mock.create_topic(&mock.topics.other, 1);
        mock
    }

    /// One broker that has no topic.
    pub fn without_topics() -> Self {
        let [events, dlq, other] = ["events", "dlq", "other"].map(str::to_owned);
        Self { cluster: MockCluster::new(1).unwrap(), topics: Topics { events, dlq, other } }
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.cluster.create_topic(name, partitions, 1).unwrap();
    }

    /// `host:port`
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// The next requests of a kind fail, one with each error.
    pub fn fail(&self, requests: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(requests, errors);
    }

    /// Requests of a kind fail no more.
    pub fn heal(&self, requests: RDKafkaApiKey) {
        self.cluster.clear_request_errors(requests);
    }
}
