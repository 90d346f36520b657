//! The fault plan: what goes wrong, when and for how long. It follows from the seed and the length alone.

use std::{fmt, time::Duration};

/// What goes wrong. A number names one of the three brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; started again when the fault ends.
    KillCardhook,
    /// SIGTERM under load; started again when the fault ends.
    StopCardhook,
    /// No block is left on the spool's file system.
    FillDisk,
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

/// One fault, in seconds after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub at: Duration,
    pub lasts: Duration,
    pub fault: Fault,
}

/// Two tracks that run beside each other, so that a kill of cardhook can meet any state of the brokers.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    pub cardhook: Vec<Step>,
    pub brokers: Vec<Step>,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, length: Duration) -> Self {
        // Dice of its own for each track: a longer run begins as a shorter one does.
        let cardhook = track(&mut Dice::new(seed), length, |dice| {
            let mut deck = vec![Fault::KillCardhook, Fault::KillCardhook, Fault::StopCardhook, Fault::FillDisk];
            dice.shuffle(&mut deck);
            deck
        });
        let brokers = track(&mut Dice::new(!seed), length, |dice| {
            let mut deck = vec![
                Fault::KillBroker(dice.broker()),
                Fault::StopBroker(dice.broker()),
                Fault::SuspendBroker(dice.broker()),
                Fault::SlowBroker(dice.broker(), 50 + dice.below(300)),
                Fault::CutBroker(dice.broker()),
                Fault::KillAll,
                Fault::SuspendAll,
                Fault::CutAll,
            ];
            dice.shuffle(&mut deck);
            deck
        });
        Self { cardhook, brokers }
    }
}

/// Deals one shuffled deck after the other, so that a long run meets every fault about equally often.
fn track(dice: &mut Dice, length: Duration, mut deal: impl FnMut(&mut Dice) -> Vec<Fault>) -> Vec<Step> {
    let (mut steps, mut deck) = (Vec::new(), Vec::new());
    let mut at = Duration::from_secs(5 + dice.below(5));
    loop {
        let fault = deck.pop().unwrap_or_else(|| {
            deck = deal(dice);
            deck.pop().unwrap()
        });
        let lasts = match fault {
            Fault::KillCardhook | Fault::StopCardhook => Duration::from_millis(dice.below(2000)),
            _ => Duration::from_secs(3 + dice.below(9)),
        };
        if at + lasts > length {
            return steps;
        }
        steps.push(Step { at, lasts, fault });
        at += lasts + Duration::from_millis(4000 + dice.below(5000));
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps: Vec<&Step> = self.cardhook.iter().chain(&self.brokers).collect();
        steps.sort_by_key(|step| step.at);
        for Step { at, lasts, fault } in steps {
            writeln!(f, "  {:7.1} s for {:4.1} s  {fault:?}", at.as_secs_f64(), lasts.as_secs_f64())?;
        }
        Ok(())
    }
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
    assert!(Plan::new(7, 2 * length).brokers.starts_with(&Plan::new(7, length).brokers));
}

#[test]
fn a_plan_of_ten_minutes_has_every_fault() {
    let plan = Plan::new(1, Duration::from_mins(10));
    let all = plan.cardhook.iter().chain(&plan.brokers);
    let kinds: std::collections::HashSet<_> = all.map(|step| std::mem::discriminant(&step.fault)).collect();
    assert_eq!(kinds.len(), 11);
}
