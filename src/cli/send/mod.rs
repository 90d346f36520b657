//! `cardhook send`: posts events as WeChat does, and reports how they were answered.

mod arguments;
mod report;
mod target;

use std::{
    io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};

pub(super) use self::{arguments::SendArgs, target::secret};
use self::{
    arguments::{Content, Plan},
    report::Report,
};
use super::simulator::{Choices, Clear, Customer, Customers, WeChat, sample};
use crate::clock;

pub(super) fn run(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(send(plan))?;
    report.print(&mut io::stdout().lock())?;
    Ok(if report.all_accepted() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the connections share.
struct Sending {
    plan: Plan,
    wechat: WeChat,
    customers: Customers,
    seed: u64,
    started: Instant,
    next_round: AtomicU64,
}

async fn send(plan: Plan) -> anyhow::Result<Report> {
    let seed = getrandom::u64().context("the system gives no random numbers")?;
    let sending = Arc::new(Sending {
        wechat: WeChat::new(plan.target.clone(), plan.keep_alive)?,
        customers: Customers::new(seed),
        seed,
        started: Instant::now(),
        next_round: AtomicU64::new(0),
        plan,
    });
    let mut connections = JoinSet::new();
    for _ in 0..sending.plan.connections.min(sending.plan.count) {
        connections.spawn(Arc::clone(&sending).connection());
    }
    let mut report = Report::default();
    while let Some(part) = connections.join_next().await {
        report.merge(part.context("a connection's task failed")?);
    }
    report.took(sending.started.elapsed());
    Ok(report)
}

impl Sending {
    /// Takes rounds until none is left. One round is one customer, whose events follow each other.
    async fn connection(self: Arc<Self>) -> Report {
        let mut report = Report::default();
        let events = self.plan.contents.len() as u64;
        loop {
            let round = self.next_round.fetch_add(1, Ordering::Relaxed);
            if round >= self.plan.count {
                return report;
            }
            let customer = self.customer(round);
            for (place, content) in (0_u64..).zip(&self.plan.contents) {
                let number = round * events + place;
                self.wait_for_turn(number).await;
                let clear = self.clear(content, &customer);
                let push = self.wechat.push(clear, self.seed.wrapping_add(number));
                report.count(&self.wechat.deliver(&push).await);
            }
        }
    }

    fn customer(&self, round: u64) -> Customer {
        let mut customer = self.customers.customer(round);
        if let Some(openid) = &self.plan.openid {
            customer.openid.clone_from(openid);
        }
        if let Some(code) = &self.plan.code {
            customer.code.clone_from(code);
        }
        customer
    }

    /// By a fixed schedule from the start: a late event does not delay the ones after it.
    async fn wait_for_turn(&self, number: u64) {
        if let Some(interval) = self.plan.interval {
            let nanos = u128::from(number).saturating_mul(interval.as_nanos());
            let due = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            sleep_until(self.started + due).await;
        }
    }

    fn clear(&self, content: &Content, customer: &Customer) -> Clear {
        let timestamp = clock::unix_millis() / 1000;
        let event_type = match content {
            Content::File { xml, to_user, openid } => {
                let to_user = to_user.as_deref().unwrap_or(self.wechat.to_user()).to_owned();
                return Clear { xml: xml.clone(), to_user, openid: openid.clone(), timestamp };
            }
            Content::Event(event_type) => *event_type,
        };
        let choices = Choices {
            to_user: self.wechat.to_user(),
            card_id: &self.plan.card_id,
            outer_str: self.plan.outer_str.as_deref(),
            create_time: timestamp,
        };
        let mut body = sample(event_type, customer, &choices);
        let (mut to_user, mut openid) = (choices.to_user, customer.openid.as_str());
        for (tag, text) in &self.plan.set {
            body.set(tag, text);
            match tag.to_ascii_lowercase().as_str() {
                "tousername" => to_user = text,
                "fromusername" => openid = text,
                _ => (),
            }
        }
        let openid = Some(openid).filter(|openid| !openid.is_empty()).map(str::to_owned);
        Clear { xml: body.to_xml(), to_user: to_user.to_owned(), openid, timestamp }
    }
}
