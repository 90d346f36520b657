//! The judge: what the simulated WeChat was answered against what stands on the topic. Pure; it starts and reads nothing.
//!
//! Times are Unix milliseconds of one machine's clock.

use std::collections::{HashMap, HashSet};

/// WeChat waits 5 s, the contract says 4; between them lies what a loaded machine may add.
pub const LATE_MS: i64 = 4500;

/// The default `delivery.ack_timeout`, and a second for the removal of what was acknowledged.
const IN_FLIGHT_MS: i64 = 3000;

/// One sending of a push: the first, or a re-delivery.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The card code, which no other event has.
    pub code: String,
    pub user: String,
    pub sent: i64,
    pub done: i64,
    pub outcome: Outcome,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// Any other answer, by its status.
    Refused(u16),
    /// No answer: no connection, or one that broke.
    Broken,
    /// No answer within WeChat's 5 s.
    TimedOut,
    /// The simulator hung up on purpose: a network that fails between WeChat and the service.
    HungUp,
}

/// A record as the topic holds it; of one partition in the order of their offsets.
#[derive(Debug, Clone)]
pub struct Record {
    pub partition: i64,
    pub offset: i64,
    /// The broker's own time (`LogAppendTime`).
    pub appended: i64,
    pub key: String,
    pub id: String,
    pub code: String,
}

/// A moment at which the producer ended with records in flight: the contract lets those be sent again.
#[derive(Debug, Clone, Copy)]
pub struct Interruption {
    pub at: i64,
    /// What the broker appended earlier was acknowledged and removed before `at`.
    pub in_flight_since: i64,
}

impl Interruption {
    /// What may have been in flight at `at`: while Kafka does not count as away, nothing that waits longer than
    /// `delivery.ack_timeout`; else what came shortly before it did. Spells of absence with a breath between are one.
    pub fn new(at: i64, away: &[Window]) -> Self {
        let mut since = at;
        for Window(from, to) in away.iter().rev() {
            if *from < since && *to >= since - IN_FLIGHT_MS {
                since = *from;
            }
        }
        Self { at, in_flight_since: since - IN_FLIGHT_MS }
    }
}

/// From and to.
#[derive(Debug, Clone, Copy)]
pub struct Window(pub i64, pub i64);

impl Window {
    fn meets(self, from: i64, to: i64) -> bool {
        self.0 <= to && from <= self.1
    }
}

/// Everything that a run leaves behind.
#[derive(Debug, Default)]
pub struct Evidence {
    pub attempts: Vec<Attempt>,
    /// Pushes that WeChat did not sign, one attempt each.
    pub forgeries: Vec<Attempt>,
    /// How many records stand on the DLQ topic: there is nothing in the run that should.
    pub quarantined: usize,
    pub records: Vec<Record>,
    pub interruptions: Vec<Interruption>,
    /// From the signal that ended cardhook until it was ready again.
    pub cardhook_down: Vec<Window>,
    /// When the disk took nothing.
    pub disk_failed: Vec<Window>,
    /// From a broker's fault until all three had every record again.
    pub broker_faults: Vec<Window>,
}

/// The figures, and for each rule the events that break it.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Pushes answered `success`: different events.
    pub accepted: usize,
    pub ids: usize,
    pub doubles_allowed: usize,
    /// Of the allowed doubles: the longest from the first copy to the interruption that explains it.
    pub oldest_in_flight_ms: i64,
    pub refusals_allowed: usize,
    /// Forgeries that were answered as every failed verification is.
    pub forgeries_refused: usize,
    pub quarantined: usize,
    pub slowest_ms: i64,
    pub missing: Vec<String>,
    pub doubled: Vec<String>,
    /// The later event and the earlier one that stands behind it.
    pub order_breaks: Vec<(String, String)>,
    pub refused: Vec<String>,
    pub late: Vec<String>,
    /// On the topic, and never sent, or not under its user's key.
    pub unknown: Vec<String>,
    /// Forgeries that were taken, or answered like anything but a failed verification.
    pub forged: Vec<String>,
}

impl Verdict {
    /// Whether nothing breaks a rule.
    pub fn holds(&self) -> bool {
        let Self { missing, doubled, order_breaks, refused, late, unknown, forged, .. } = self;
        [missing, doubled, refused, late, unknown, forged].iter().all(|broken| broken.is_empty())
            && order_breaks.is_empty()
            && self.quarantined == 0
    }
}

/// Judges a run.
pub fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let mut copies: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in &evidence.records {
        copies.entry(&record.code).or_default().push(record);
    }
    let successes = evidence.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Success);
    let accepted: HashSet<&str> = successes.map(|attempt| attempt.code.as_str()).collect();
    let sent: HashMap<&str, &str> =
        evidence.attempts.iter().map(|attempt| (attempt.code.as_str(), attempt.user.as_str())).collect();
    let as_sent = |record: &Record| sent.get(record.code.as_str()).is_some_and(|user| *user == record.key);
    verdict.accepted = accepted.len();
    verdict.ids = evidence.records.iter().map(|record| record.id.as_str()).collect::<HashSet<_>>().len();
    verdict.missing = codes(accepted.difference(&copies.keys().copied().collect()));
    let forgeries: HashSet<&str> = evidence.forgeries.iter().map(|attempt| attempt.code.as_str()).collect();
    let strange = evidence.records.iter().filter(|record| !as_sent(record)).map(|record| record.code.clone());
    (verdict.forged, verdict.unknown) = strange.partition(|code| forgeries.contains(code.as_str()));
    for (code, copies) in &mut copies {
        copies.sort_by_key(|record| record.appended);
        for pair in copies.windows(2) {
            let explained = evidence.explanation(pair[0], pair[1]).filter(|_| pair[0].id == pair[1].id);
            if let Some(interruption) = explained {
                verdict.doubles_allowed += 1;
                verdict.oldest_in_flight_ms = verdict.oldest_in_flight_ms.max(interruption.at - pair[0].appended);
            } else {
                verdict.doubled.push((*code).to_owned());
            }
        }
    }
    verdict.order_breaks = order_breaks(evidence);
    verdict.quarantined = evidence.quarantined;
    judge_answers(evidence, &mut verdict);
    verdict
}

impl Evidence {
    /// The first end of a producer at which the first copy may have been in flight.
    fn explanation(&self, first: &Record, second: &Record) -> Option<&Interruption> {
        let explains = |end: &&Interruption| end.in_flight_since <= first.appended && end.at <= second.appended;
        self.interruptions.iter().filter(explains).min_by_key(|end| end.at)
    }

    /// Whether this attempt may go without an answer: cardhook was down, or had neither disk nor broker.
    fn excuses(&self, attempt: &Attempt) -> bool {
        let meets = |windows: &[Window]| windows.iter().any(|window| window.meets(attempt.sent, attempt.done));
        meets(&self.cardhook_down) || meets(&self.disk_failed) && meets(&self.broker_faults)
    }
}

fn judge_answers(evidence: &Evidence, verdict: &mut Verdict) {
    for attempt in evidence.attempts.iter().chain(&evidence.forgeries) {
        let took = attempt.done - attempt.sent;
        let answered = matches!(attempt.outcome, Outcome::Success | Outcome::Refused(_));
        if answered {
            verdict.slowest_ms = verdict.slowest_ms.max(took);
        }
        if took > LATE_MS && (answered || attempt.outcome == Outcome::TimedOut && !evidence.excuses(attempt)) {
            verdict.late.push(attempt.code.clone());
        }
    }
    for attempt in &evidence.attempts {
        match attempt.outcome {
            Outcome::Refused(_) | Outcome::Broken if evidence.excuses(attempt) => verdict.refusals_allowed += 1,
            Outcome::Refused(_) | Outcome::Broken => verdict.refused.push(attempt.code.clone()),
            Outcome::Success | Outcome::TimedOut | Outcome::HungUp => {}
        }
    }
    for forgery in &evidence.forgeries {
        match forgery.outcome {
            Outcome::Refused(403) => verdict.forgeries_refused += 1,
            Outcome::Success | Outcome::Refused(_) => verdict.forged.push(forgery.code.clone()),
            Outcome::Broken | Outcome::TimedOut | Outcome::HungUp => {}
        }
    }
}

/// Events of one user of which the later was first sent after the earlier was answered `success`, and yet stands before it.
/// Later copies do not count: a consumer drops them by their id.
fn order_breaks(evidence: &Evidence) -> Vec<(String, String)> {
    let mut first_sent: HashMap<&str, i64> = HashMap::new();
    let mut answered: HashMap<&str, i64> = HashMap::new();
    for Attempt { code, sent, done, outcome, .. } in &evidence.attempts {
        first_sent.entry(code).and_modify(|first| *first = (*sent).min(*first)).or_insert(*sent);
        if *outcome == Outcome::Success {
            answered.entry(code).and_modify(|first| *first = (*done).min(*first)).or_insert(*done);
        }
    }
    let mut seen = HashSet::new();
    // Of each key: the event that was sent latest of those that stand so far.
    let mut latest: HashMap<&str, (i64, &str)> = HashMap::new();
    let mut records: Vec<&Record> = evidence.records.iter().collect();
    records.sort_by_key(|record| (record.partition, record.offset));
    let mut breaks = Vec::new();
    for Record { key, code, .. } in records {
        let Some(sent) = first_sent.get(code.as_str()) else { continue };
        if !seen.insert(code) {
            continue;
        }
        if let (Some((later, standing)), Some(done)) = (latest.get(key.as_str()), answered.get(code.as_str()))
            && done < later
        {
            breaks.push(((*standing).to_owned(), code.clone()));
        }
        let entry = latest.entry(key).or_insert((*sent, code));
        if entry.0 < *sent {
            *entry = (*sent, code);
        }
    }
    breaks
}

fn codes<'a>(codes: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    let mut codes: Vec<String> = codes.map(|code| (*code).to_owned()).collect();
    codes.sort();
    codes
}

#[cfg(test)]
mod tests;
