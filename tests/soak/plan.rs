//! The fault plan: what goes wrong, when and for how long. It follows from the seed and the length alone.

use std::{collections::HashSet, fmt, mem::discriminant, time::Duration};

/// What goes wrong with cardhook and the machine it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardhookFault {
    /// SIGKILL; started again when the fault ends.
    KillCardhook,
    /// SIGTERM under load; started again when the fault ends.
    StopCardhook,
    /// No block is left on the spool's file system.
    FillDisk,
    /// Every fsync fails with EIO.
    FailDisk,
    /// Every fsync takes as many milliseconds longer.
    SlowDisk(u64),
    /// The wall clock jumps by as many hours, and back when the fault ends.
    JumpClock(i64),
}

/// What goes wrong with the brokers. A number names one of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerFault {
    /// SIGKILL; started again when the fault ends.
    KillBroker(usize),
    /// SIGTERM; started again when the fault ends.
    StopBroker(usize),
    /// SIGSTOP, then SIGCONT.
    SuspendBroker(usize),
    /// Every chunk on its connections is held back by as many milliseconds.
    SlowBroker(usize, u64),
    /// Its connections are closed, and new ones as soon as they open.
    CutBroker(usize),
    KillAll,
    SuspendAll,
    CutAll,
}

/// One fault, in time after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<Fault> {
    pub at: Duration,
    pub lasts: Duration,
    pub fault: Fault,
}

/// Two tracks that run beside each other, so that a kill of cardhook can meet any state of the brokers.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    pub cardhook: Vec<Step<CardhookFault>>,
    pub brokers: Vec<Step<BrokerFault>>,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, length: Duration) -> Self {
        // Dice of its own for each track: a longer run begins as a shorter one does.
        let cardhook = track(&mut Dice::new(seed), length, cardhook_deck);
        let brokers = track(&mut Dice::new(!seed), length, broker_deck);
        Self { cardhook, brokers }
    }
}

fn cardhook_deck(dice: &mut Dice) -> Vec<(CardhookFault, Duration)> {
    let jump = 1 + i64::try_from(dice.below(72)).unwrap();
    let brief = |dice: &mut Dice| Duration::from_millis(dice.below(2000));
    vec![
        (CardhookFault::KillCardhook, brief(dice)),
        (CardhookFault::KillCardhook, brief(dice)),
        (CardhookFault::StopCardhook, brief(dice)),
        (CardhookFault::FillDisk, some_seconds(dice)),
        (CardhookFault::FailDisk, some_seconds(dice)),
        (CardhookFault::SlowDisk(50 + dice.below(451)), some_seconds(dice)),
        (CardhookFault::JumpClock(jump), some_seconds(dice)),
        (CardhookFault::JumpClock(-jump), some_seconds(dice)),
    ]
}

fn broker_deck(dice: &mut Dice) -> Vec<(BrokerFault, Duration)> {
    let deck = [
        BrokerFault::KillBroker(dice.broker()),
        BrokerFault::StopBroker(dice.broker()),
        BrokerFault::SuspendBroker(dice.broker()),
        BrokerFault::SlowBroker(dice.broker(), 50 + dice.below(300)),
        BrokerFault::CutBroker(dice.broker()),
        BrokerFault::KillAll,
        BrokerFault::SuspendAll,
        BrokerFault::CutAll,
    ];
    deck.map(|fault| (fault, some_seconds(dice))).into()
}

fn some_seconds(dice: &mut Dice) -> Duration {
    Duration::from_secs(3 + dice.below(9))
}

/// Deals one shuffled deck after the other, so that a long run meets every fault about equally often.
fn track<Fault>(
    dice: &mut Dice,
    length: Duration,
    deal: impl Fn(&mut Dice) -> Vec<(Fault, Duration)>,
) -> Vec<Step<Fault>> {
    let (mut steps, mut deck) = (Vec::new(), Vec::new());
    let mut at = Duration::from_secs(5 + dice.below(5));
    loop {
        let (fault, lasts) = deck.pop().unwrap_or_else(|| {
            deck = deal(dice);
            dice.shuffle(&mut deck);
            deck.pop().unwrap()
        });
        if at + lasts > length {
            return steps;
        }
        steps.push(Step { at, lasts, fault });
        at += lasts + Duration::from_millis(4000 + dice.below(5000));
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<_> = self.cardhook.iter().map(line).chain(self.brokers.iter().map(line)).collect();
        lines.sort();
        lines.into_iter().try_for_each(|(_, line)| writeln!(f, "{line}"))
    }
}

fn line<Fault: fmt::Debug>(Step { at, lasts, fault }: &Step<Fault>) -> (Duration, String) {
    (*at, format!("  {:7.1} s for {:4.1} s  {fault:?}", at.as_secs_f64(), lasts.as_secs_f64()))
}

/// `SplitMix64`: small, and the same on every machine.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    fn broker(&mut self) -> usize {
        [0, 1, 2][usize::try_from(self.below(3)).unwrap()]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, usize::try_from(self.below(last as u64 + 1)).unwrap());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_gives_another() {
    let length = Duration::from_mins(10);
    assert_eq!(Plan::new(7, length), Plan::new(7, length));
    assert_ne!(Plan::new(7, length), Plan::new(8, length));
    let (longer, plan) = (Plan::new(7, 2 * length), Plan::new(7, length));
    assert!(longer.cardhook.starts_with(&plan.cardhook) && longer.brokers.starts_with(&plan.brokers));
}

#[test]
fn every_plan_of_three_minutes_has_every_fault() {
    for seed in 0..1000 {
        let plan = Plan::new(seed, Duration::from_mins(3));
        let cardhook: HashSet<_> = plan.cardhook.iter().map(|step| discriminant(&step.fault)).collect();
        let brokers: HashSet<_> = plan.brokers.iter().map(|step| discriminant(&step.fault)).collect();
        assert_eq!((cardhook.len(), brokers.len()), (6, 8), "seed {seed}");
    }
}

#[test]
fn in_the_gates_plan_each_fault_of_cardhook_overlaps_with_faults_of_one_broker_and_of_all() {
    let plan = Plan::new(597, Duration::from_mins(3));
    let mut met = HashSet::new();
    for one in &plan.cardhook {
        for other in plan.brokers.iter().filter(|step| step.at < one.at + one.lasts && one.at < step.at + step.lasts) {
            let all = matches!(other.fault, BrokerFault::KillAll | BrokerFault::SuspendAll | BrokerFault::CutAll);
            met.insert((discriminant(&one.fault), all));
        }
    }
    assert_eq!(met.len(), 2 * 6);
}
