//! What forwarding costs: a message through cardhook beside the same message sent to the application directly, and card
//! events beside an application that hangs. Broker, load, application and cardhook share the machine, so that legs are taken
//! in turns and compared within a round.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    bare::Bare,
    process,
    pushes::{Connections, Pushes},
    support::{
        application::{Application, Reply},
        cardhook::{Service, Setup, Topics},
        kafka::Kafka,
        unix_seconds,
        wechat::{Account, Mode},
    },
    wrk::{self, Seen},
};

/// Few enough that a message waits for nothing but its way: what a p50 is to show.
const FEW: usize = 2;
/// Enough that CPU is what counts.
const MANY: usize = 64;
/// Messages that hang at a time beside the card events.
const HANGING: usize = 64;

/// Of a forwarded message's p50, over the direct call's.
const LATER: Duration = Duration::from_millis(1);
/// CPU of a forwarded message over that of one that is verified, decrypted, read and ignored; µs.
const CPU: f64 = 40.0;
/// Of card events' p99 beside a hanging application, to that without an upstream.
const P99: f64 = 1.2;

struct Leg {
    seen: Seen,
    /// Of cardhook; µs per answer.
    cpu: f64,
}

/// Means over the rounds.
#[derive(Default)]
struct Sums {
    direct_p50: f64,
    forwarded_p50: f64,
    ignored_cpu: f64,
    forwarded_cpu: f64,
    alone_p99: f64,
    hanging_p99: f64,
}

/// Measures, prints, and says whether every goal was met.
pub fn measure(duration: Duration, rounds: u16) -> anyhow::Result<bool> {
    let kafka = Kafka::start();
    let folder = tempfile::Builder::new().prefix("cardhook-bench").tempdir()?;
    let count = 50_000 * usize::try_from(duration.as_secs())?;
    println!("making {count} messages and {count} card events");
    let messages = Pushes::write_of(&folder.path().join("messages"), count, Connections::KeptAlive, message)?;
    let cards = Pushes::write(folder.path(), count, Connections::KeptAlive)?;
    let application = Bare::start()?;
    let url = format!("http://{}/app", application.address);
    let mut sums = Sums::default();
    println!("{:<34} {:>9} {:>8} {:>8} {:>10}", "", "answers/s", "p50 ms", "p99 ms", "CPU µs/ev");
    for round in 0..=rounds {
        let direct = wrk::drive_over(FEW, application.address, &messages, duration)?;
        let forwarded = leg(&kafka, "other = \"forward\"", &url, FEW, &messages, duration)?;
        let ignored = leg(&kafka, "", "", MANY, &messages, duration)?;
        let busy = leg(&kafka, "other = \"forward\"", &url, MANY, &messages, duration)?;
        let alone = leg(&kafka, "", "", MANY, &cards, duration)?;
        let hanging = beside_hanging(&kafka, &cards, duration)?;
        // The first one warms up.
        if round == 0 {
            continue;
        }
        row("message, directly, 2 connections", direct, None);
        row("message, forwarded, 2 connections", forwarded.seen, Some(forwarded.cpu));
        row("message, ignored, 64 connections", ignored.seen, Some(ignored.cpu));
        row("message, forwarded, 64 connections", busy.seen, Some(busy.cpu));
        row("card event, no upstream", alone.seen, Some(alone.cpu));
        row("card event, upstream hangs", hanging.seen, Some(hanging.cpu));
        sums.direct_p50 += direct.p50.as_secs_f64();
        sums.forwarded_p50 += forwarded.seen.p50.as_secs_f64();
        sums.ignored_cpu += ignored.cpu;
        sums.forwarded_cpu += busy.cpu;
        sums.alone_p99 += alone.seen.p99.as_secs_f64();
        sums.hanging_p99 += hanging.seen.p99.as_secs_f64();
    }
    let later = (sums.forwarded_p50 - sums.direct_p50) / f64::from(rounds);
    let cpu = (sums.forwarded_cpu - sums.ignored_cpu) / f64::from(rounds);
    let p99 = sums.hanging_p99 / sums.alone_p99;
    let goals = [
        (
            later <= LATER.as_secs_f64(),
            format!("forwarded p50 {:.3} ms over the direct call's, at most 1", later * 1e3),
        ),
        (cpu <= CPU, format!("forwarding {cpu:.1} µs of CPU, at most {CPU}")),
        (p99 <= P99, format!("card events' p99 beside a hanging application {p99:.2} of without, at most {P99}")),
    ];
    for (met, goal) in &goals {
        println!("{} {goal}", if *met { "met   " } else { "MISSED" });
    }
    Ok(goals.iter().all(|(met, _)| *met))
}

fn message(number: usize, second: i64) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n\
         <FromUserName><![CDATA[oBenchUser{number:018}]]></FromUserName>\n<CreateTime>{second}</CreateTime>\n\
         <MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[hello {number:012}]]></Content>\n\
         <MsgId>{number:016}</MsgId>\n</xml>"
    )
}

fn serve(kafka: &Kafka, other: &str, url: &str) -> (Setup, Service) {
    let upstream = if url.is_empty() { String::new() } else { format!("upstream = {url:?}\n") };
    let setup = Setup::new(kafka, &Topics::create(kafka));
    let setup = setup.replace_account(&Account::of(Mode::Secure), &format!("{upstream}{other}"));
    let service = setup.serve();
    service.wait_kafka(true);
    (setup, service)
}

fn leg(
    kafka: &Kafka,
    other: &str,
    url: &str,
    connections: usize,
    pushes: &Pushes,
    duration: Duration,
) -> anyhow::Result<Leg> {
    let (_setup, service) = serve(kafka, other, url);
    drive(&service, connections, pushes, duration)
}

fn drive(service: &Service, connections: usize, pushes: &Pushes, duration: Duration) -> anyhow::Result<Leg> {
    rustix::fs::sync();
    let before = process::cpu(service.id())?;
    let seen = wrk::drive_over(connections, service.public, pushes, duration)?;
    service.wait_drained();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 answers")]
    let cpu = process::cpu(service.id())?.saturating_sub(before).as_secs_f64() * 1e6 / seen.answered as f64;
    Ok(Leg { seen, cpu })
}

fn beside_hanging(kafka: &Kafka, cards: &Pushes, duration: Duration) -> anyhow::Result<Leg> {
    let application = Application::start(|_| Reply::Hang);
    let (_setup, service) = serve(kafka, "other = \"forward\"", &application.url());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for sender in 0..HANGING {
            let (stop, public) = (&stop, service.public);
            scope.spawn(move || send_messages(sender, public, stop));
        }
        let leg = drive(&service, MANY, cards, duration);
        stop.store(true, Ordering::Relaxed);
        leg
    })
}

/// Each waits until cardhook gives the application up.
fn send_messages(sender: usize, public: SocketAddr, stop: &AtomicBool) {
    let account = Account::of(Mode::Secure);
    let mut number = sender;
    while !stop.load(Ordering::Relaxed) {
        let _ = account.post(public, &message(number, unix_seconds()));
        number += HANGING;
    }
}

fn row(name: &str, seen: Seen, cpu: Option<f64>) {
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let cpu = cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1}"));
    println!("{name:<34} {:>9.0} {:>8.3} {:>8.3} {cpu:>10}", seen.rate(), millis(seen.p50), millis(seen.p99));
}
