//! `cardhook dev`: everything in one process, to look at and to try: broker, receiver, and a WeChat that sends.
//!
//! The broker is librdkafka's mock: it speaks Kafka's protocol on a real port and keeps records in memory only.

mod account;
mod card_api;
mod traffic;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use rdkafka::{ClientConfig, mocking::MockCluster};
use tokio::time::{sleep, timeout};

use self::{
    account::{SecretArgs, TestAccount},
    traffic::Traffic,
};
use super::{
    kafka_client::{Start, TopicReader},
    note, signal,
    simulator::WeChat,
    tail,
};
use crate::{
    app::App,
    config::{
        self, Account, Admin, AnswerAfter, Config, Dedup, Delivery, Format, Kafka, Log, LogFormat, OtherPolicy,
        SecretFiles, Server, Spool, Unverified, Upstream, UpstreamFailure, WeChatApi,
    },
    telemetry,
    wechat_api::BASE,
};

const PARTITIONS: i32 = 3;
/// How long the last events may take from the receiver through the broker to the screen.
const LAST_EVENTS: Duration = Duration::from_millis(300);

/// Try everything on this machine: receiver, in-process Kafka broker and simulated WeChat traffic
#[derive(Debug, Args)]
#[command(after_help = "Typed events, as read back from the broker, go to standard output; all else to standard error.

Examples:
  cardhook dev
  cardhook dev --for 10s
  cardhook dev --upstream http://127.0.0.1:8000/wechat --token-file token --aes-key-file aes_key --app-id wx…
  cardhook dev --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:9090")]
pub(super) struct DevArgs {
    /// Stop after this long (10s, 5m); at Ctrl-C when not given
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    limit: Option<Duration>,
    /// Address of the receiver; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of health and metrics; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    admin_listen: SocketAddr,
    /// Your own application: everything goes on to it, and standard error shows what it answers
    #[arg(long, value_name = "URL", value_parser = config::upstream_url)]
    upstream: Option<hyper::Uri>,
    #[command(flatten)]
    secrets: SecretArgs,
}

pub(super) fn run(args: &DevArgs) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("cardhook-dev-").tempdir().context("no temporary folder")?;
    let account = TestAccount::new(&args.secrets, folder.path())?;
    let cluster = MockCluster::new(1).context("the in-process broker does not start")?;
    let config = config(args, &account, &cluster.bootstrap_servers(), &folder.path().join("spool"));
    for topic in [&config.kafka.topic, &config.kafka.dlq_topic, &config.kafka.other_topic] {
        cluster.create_topic(topic, PARTITIONS, 1)?;
    }
    actix_web::rt::System::new().block_on(show(config, &account, args.limit))?;
    Ok(ExitCode::SUCCESS)
}

/// Receives, sends and prints until the end; then stops in that the receiver's last events are printed too.
async fn show(config: Config, account: &TestAccount, limit: Option<Duration>) -> anyhow::Result<()> {
    let brokers = config.kafka.brokers.join(",");
    let (topic, spool) = (config.kafka.topic.clone(), config.spool.path.clone());
    let upstream = config.accounts.iter().find_map(|account| account.upstream.as_ref()).map(Upstream::shown);
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &brokers);
    let mut reader = TopicReader::open(client, &topic, &Start::Beginning)?;
    telemetry::init(&config.log);
    let app = App::build(config)?;
    let wechat = WeChat::new(account.target(app.public_addr()), false)?;
    let traffic = Traffic::new(&wechat, upstream.is_some())?;
    let card_api = card_api::start(wechat.clone(), getrandom::u64()?, account.app_secret().to_owned())?;
    account.write_config(card_api, &spool)?;
    note(account.banner(&wechat, &traffic.sample_push(), app.admin_addr(), &brokers, &topic, upstream.as_deref())?);

    let stop = signal::first_stops_second_ends()?;
    let mut ended = Ok(());
    app.run_until(async {
        ended = tokio::select! {
            () = stop => Ok(()),
            () = limit_reached(limit) => Ok(()),
            () = traffic.flow() => Ok(()),
            failed = print(&mut reader) => failed,
        };
    })
    .await?;
    ended?;
    // Everything that was received is with the broker by now.
    timeout(LAST_EVENTS, print(&mut reader)).await.unwrap_or(Ok(()))
}

async fn limit_reached(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// The console shows what arrives to whoever asks: without an admin token only to this machine.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}: write ADDRESS:PORT"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("is no loopback address: dev has no admin token".to_owned())
    }
}

/// Prints events until reading or printing fails.
async fn print(reader: &mut TopicReader) -> anyhow::Result<()> {
    loop {
        let Some(record) = reader.next().await? else { continue };
        if let Some(line) = tail::line(&record) {
            writeln!(io::stdout().lock(), "{line}")?;
        }
    }
}

fn config(args: &DevArgs, account: &TestAccount, brokers: &str, spool: &Path) -> Config {
    Config {
        server: Server {
            listen: args.listen,
            max_body_bytes: 64 * 1024,
            allow_from: Vec::new(),
            trusted_proxies: Vec::new(),
        },
        admin: Admin { listen: args.admin_listen, token: None, console: true },
        accounts: vec![Account {
            name: account::NAME.to_owned(),
            path: account::PATH.to_owned(),
            account_id: Some(account::ACCOUNT_ID.to_owned()),
            credentials: account.credentials(),
            secret_files: SecretFiles::default(),
            max_age: None,
            other: if args.upstream.is_some() { OtherPolicy::Forward } else { OtherPolicy::Ignore },
            upstream: args.upstream.clone().map(|url| Upstream {
                url,
                on_failure: UpstreamFailure::Fail,
                max_in_flight: 256,
                cards: true,
            }),
            app_secret: None,
            access_token_file: None,
        }],
        kafka: Kafka {
            brokers: brokers.split(',').map(str::to_owned).collect(),
            topic: "wechat.card.events".to_owned(),
            dlq_topic: "wechat.card.dlq".to_owned(),
            other_topic: "wechat.other".to_owned(),
            format: Format::Json,
            schema_registry: None,
            sasl_password: None,
            options: Vec::new(),
        },
        spool: Spool { path: spool.to_owned(), max_bytes: 64 << 20 },
        delivery: Delivery {
            answer_after: AnswerAfter::Kafka,
            kafka_only_without_brokers: false,
            ack_timeout: Duration::from_secs(2),
            shutdown_timeout: Duration::from_secs(8),
        },
        dedup: Dedup { window: Duration::from_hours(48), max_bytes: 64 << 20 },
        wechat_api: WeChatApi { base_url: BASE.to_owned() },
        unverified: Unverified { window: Duration::from_hours(1), max_bytes: 1 << 20 },
        log: Log { level: tracing::Level::WARN, format: LogFormat::Text },
        traces: false,
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text.parse().map_err(|_| "expected a duration: 10s, 5m")?;
    Duration::try_from(duration).map_err(|_| "expected a duration that is not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_in_the_configuration() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert!(duration("10").is_err() && duration("-1s").is_err() && duration("").is_err());
    }
}
