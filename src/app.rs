//! Wires the parts together: `build(config) → App`, `run_until(shutdown)`. The only place that does.

mod allow_list;
mod cluster_watch;
mod console;
mod files;
mod of_config;
mod registration;
mod reload;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::dev::Server;
use anyhow::Context as _;

pub use registration::encodings_at_once;
pub use reload::Reloader;

use self::{
    allow_list::{AllowList, Pace},
    cluster_watch::ClusterWatch,
    console::Watched,
    registration::Registration,
};
use crate::{
    config::{self, Config, Source},
    delivery::{AnswerAfter, Delivery, Probe, Running, Settings, spool_folder, volatile_file_system},
    http::{
        self, Endpoints,
        admin::{self, Admin},
        public::{self, Notes},
    },
    metrics::Metrics,
    telemetry::traces::{Exporting, Traces},
    unverified::{Bounds, Keeper},
    wechat_api::Api,
};

/// Longest wait for requests under way at a stop: each is answered within 4 s of its head.
const FINISH_REQUESTS: Duration = Duration::from_secs(4);
/// Connections that the kernel keeps for a listener until they are accepted; it takes `net.core.somaxconn` at most.
const BACKLOG: i32 = 1024;
/// How long a stop waits for a look at Kafka that is under way.
const END_OF_LOOK: Duration = Duration::from_secs(2);
/// What a flush gets at least, however long the requests took.
const SHORTEST_FLUSH: Duration = Duration::from_secs(1);

/// A service that is built and listening, and not serving yet.
#[derive(Debug)]
pub struct App {
    public: (SocketAddr, TcpListener),
    admin: (SocketAddr, TcpListener),
    config: Config,
    metrics: Metrics,
    delivery: Delivery,
    endpoints: Endpoints,
    allow_list: Option<AllowList>,
    registration: Option<Registration>,
    unverified: Option<Keeper>,
    traces: Traces,
    exporting: Option<Exporting>,
    running: Running,
    draining: Arc<AtomicBool>,
    console: Watched,
    cluster_watch: Option<ClusterWatch>,
    /// How many connections the limit of open files leaves room for.
    connections: usize,
}

impl App {
    /// Opens the spool, starts the delivery and binds both listeners. Kafka may be away.
    ///
    /// # Errors
    /// When the limit of open files is too low, the spool cannot be opened, a Kafka property is refused or an address cannot
    /// be bound.
    pub fn build(config: Config) -> anyhow::Result<Self> {
        let upstreams = config.accounts.iter().filter_map(|account| account.upstream.as_ref());
        let in_flight = upstreams.map(|upstream| upstream.max_in_flight).sum();
        let connections = files::room_for_connections(in_flight)?;
        if let Some((key, found, cure)) = config.without_effect() {
            tracing::warn!(key, found, cure, "a setting has no effect");
        }
        warn_of_volatile_spool(&config);
        let metrics = Metrics::new();
        let (traces, exporting) = traces(&config)?;
        let public = bind("server.listen", config.server.listen)?;
        let admin = bind("admin.listen", config.admin.listen)?;
        let (encodings, registration) = registration::encodings(&config.kafka)?;
        let (probe, published) = config.admin.console.then(Probe::new).unzip();
        let settings = Settings { probe: probe.clone(), ..of_config::settings(&config, encodings, traces.clone()) };
        let (delivery, running) = Delivery::start(settings, metrics.clone())?;
        let accounts =
            config.accounts.iter().enumerate().map(|(index, account)| of_config::account(index, account, &metrics));
        let endpoints = Endpoints::new(accounts.collect::<anyhow::Result<Vec<_>>>()?, &metrics);
        let allow_list = allow_list(&config, &metrics)?;
        let unverified = keeper(&config, &metrics)?;
        let draining = Arc::new(AtomicBool::new(false));
        let console = Watched::start(&config, &delivery, probe.zip(published), &metrics, &draining)?;
        Ok(Self {
            public,
            admin,
            config,
            metrics,
            delivery,
            endpoints,
            allow_list,
            registration,
            unverified,
            traces,
            exporting,
            running,
            draining,
            console,
            cluster_watch: None,
            connections,
        })
    }

    /// For a configuration that changes while the service runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        let api_callers = self.allow_list.as_ref().map(AllowList::callers);
        Reloader {
            endpoints: self.endpoints.clone(),
            api_callers,
            running: self.config.clone(),
            metrics: self.metrics.clone(),
            console: self.console.console.clone(),
        }
    }

    /// Looks at the Kafka cluster too, beside the service, and logs what is wrong with it; until the service ends.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn watch_cluster(&mut self) -> anyhow::Result<()> {
        self.cluster_watch = ClusterWatch::start(&self.config, &self.delivery).context("no thread to look at Kafka")?;
        Ok(())
    }

    /// Where callbacks are received.
    #[must_use]
    pub fn public_addr(&self) -> SocketAddr {
        self.public.0
    }

    /// Where health and metrics are shown.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.0
    }

    /// Serves until `shutdown` resolves; then stops: not ready, sockets closed, requests finished, producer flushed, spool
    /// closed, within `delivery.shutdown_timeout` (and a second).
    ///
    /// # Errors
    /// When a listener cannot be served.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self {
            public: (public_addr, public),
            admin: (admin_addr, admin),
            config,
            metrics,
            delivery,
            endpoints,
            allow_list,
            registration,
            unverified,
            traces,
            exporting,
            running,
            draining,
            console: Watched { console, observer, running: watch },
            cluster_watch,
            connections,
        } = self;
        let registry_up = metrics.schema_registry_up.clone();
        // The servers own the sockets: what they close is closed.
        let published = allow_list.as_ref().map(AllowList::published);
        let unverified_pushes = unverified.as_ref().map(Keeper::sender);
        let notes = Notes { metrics: &metrics, unverified: unverified_pushes, observer, traces };
        let public = public_server(public, &config, endpoints, &delivery, published, connections, notes)?;
        let token = config.admin.token.as_ref().map(|token| admin::BearerToken::new(token.expose()));
        let admin = admin::server(admin, Admin { delivery, metrics, draining: Arc::clone(&draining), token, console })?;
        let (public_handle, admin_handle) = (public.handle(), admin.handle());
        let (public_task, admin_task) = (actix_web::rt::spawn(public), actix_web::rt::spawn(admin));
        let registering = registration.map(|registration| actix_web::rt::spawn(registration.run(registry_up)));
        let keeping = allow_list.map(|list| actix_web::rt::spawn(list.keep()));
        tracing::info!(public = %public_addr, admin = %admin_addr, "listening");
        for account in &config.accounts {
            let [cards, others, unreadable] = account.routes(&config.kafka);
            tracing::info!(
                account = account.name,
                path = account.path,
                card_events = %cards,
                other_messages = %others,
                unreadable_pushes = %unreadable,
                "account"
            );
        }

        shutdown.await;
        tracing::info!("stopping");
        let until = Instant::now() + config.delivery.shutdown_timeout;
        draining.store(true, Ordering::Relaxed);
        cluster_watch.iter().for_each(ClusterWatch::end);
        for task in keeping.into_iter().chain(registering) {
            task.abort();
        }
        public_handle.stop(true).await;
        if let Some(unverified) = unverified {
            tokio::task::spawn_blocking(move || unverified.stop())
                .await
                .context("unverified pushes were not written")?;
        }
        let flush = until.saturating_duration_since(Instant::now()).max(SHORTEST_FLUSH);
        tokio::task::spawn_blocking(move || running.stop(flush)).await.context("the delivery did not stop")?;
        if let Some(exporting) = exporting {
            tokio::task::spawn_blocking(move || exporting.stop()).await.context("the last traces were not sent")?;
        }
        console::stop(watch).await?;
        if let Some(cluster_watch) = cluster_watch {
            let waited = tokio::task::spawn_blocking(move || cluster_watch.wait(END_OF_LOOK)).await;
            waited.context("the look at Kafka was not waited for")?;
        }
        admin_handle.stop(false).await;
        public_task.await.context("the public listener failed")?.context("the public listener failed")?;
        admin_task.await.context("the admin listener failed")?.context("the admin listener failed")?;
        tracing::info!("stopped");
        Ok(())
    }
}

fn public_server(
    listener: TcpListener,
    config: &Config,
    endpoints: Endpoints,
    delivery: &Delivery,
    wechat: Option<http::Published>,
    connections: usize,
    notes: Notes<'_>,
) -> io::Result<Server> {
    let limits = public::Limits {
        max_body_bytes: config.server.max_body_bytes,
        workers: std::thread::available_parallelism().map_or(1, NonZero::get),
        connections,
        shutdown_timeout: FINISH_REQUESTS,
    };
    public::server(vec![listener], endpoints, delivery, limits, of_config::sources(config, wechat), notes)
}

/// A spool in memory is as good as none: what waits in it goes with the machine or the container.
fn warn_of_volatile_spool(config: &Config) {
    if config.delivery.answer_after != AnswerAfter::KafkaOnly
        && let Some(file_system) = volatile_file_system(&config.spool.path)
    {
        tracing::warn!(
            path = %config.spool.path.display(),
            file_system,
            "spool.path does not outlive a restart: use a volume, or delivery.answer_after = \"kafka_only\" (with brokers)"
        );
    }
}

/// Where WeChat's own addresses may call: their list. The spool's folder is there by now.
fn allow_list(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<AllowList>> {
    let caller = config.api_caller().filter(|_| config.server.allow_from.contains(&Source::WeChat));
    let Some(caller) = caller else { return Ok(None) };
    let api = Api::new(config.wechat_api.base_url.parse()?, caller.clone())?;
    let known = metrics.allow_list_known.clone();
    Ok(Some(AllowList::open(&spool_folder(&config.spool.path), api, caller, known, Pace::DAILY)))
}

/// Traces, where OpenTelemetry's variables ask for them.
fn traces(config: &Config) -> anyhow::Result<(Traces, Option<Exporting>)> {
    if !config.traces {
        return Ok((Traces::default(), None));
    }
    let (traces, exporting) = Traces::start().context("traces cannot be sent (OTEL_EXPORTER_OTLP_…)")?;
    tracing::info!("traces of pushes are sent over OTLP");
    Ok((traces, Some(exporting)))
}

/// Keeps pushes that fail verification, unless that is switched off. The spool's folder is there and locked by now.
fn keeper(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<Keeper>> {
    let config::Unverified { window, max_bytes } = config.unverified;
    let bounds = Bounds { max_bytes, window_ms: i64::try_from(window.as_millis()).unwrap_or(i64::MAX) };
    let kept = metrics.unverified_kept.clone();
    let keeper = (max_bytes > 0).then(|| Keeper::start(&spool_folder(&config.spool.path), bounds, kept)).transpose();
    keeper.context("no thread for unverified pushes")
}

fn bind(key: &str, address: SocketAddr) -> anyhow::Result<(SocketAddr, TcpListener)> {
    let failed =
        || format!("cannot listen on {key} = \"{address}\": is the port taken, or the address not this machine's?");
    let listener = TcpListener::bind(address).with_context(failed)?;
    // The standard library asks for 128.
    rustix::net::listen(&listener, BACKLOG).with_context(failed)?;
    Ok((listener.local_addr()?, listener))
}
