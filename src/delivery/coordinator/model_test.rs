//! Random interleavings of what can happen to a delivery, against an oracle that knows only the contract (§3.1).
//!
//! The test drives `Records`, which decides everything. `world` has the coordinator's loop and a broker, `disk` has the spool. Both
//! are plain collections, and an operation makes them fail.

mod disk;
mod world;

use proptest::prelude::*;

use super::super::AnswerAfter;
use world::World;

/// Events: few, so that they come again.
const EVENTS: u8 = 40;
/// Events behind these that nothing but a signature verified, three signatures for all of them.
const BARE: u8 = 9;
const SIGNATURES: u8 = 3;

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// A delivery or a re-delivery.
    Submit(u8),
    /// The commit under way is done, or fails.
    Commit(bool),
    /// The broker answers a request of so many records.
    Answer(usize, usize, usize),
    /// The producer ends. The broker has got this many of its records.
    Fatal(usize, usize),
    /// A page that was read arrives.
    Page,
    Kafka(bool),
    Disk(bool),
    /// Milliseconds.
    Pass(u64),
    /// Killed, and started again; what the disk was writing may be written.
    Kill(bool),
    /// Stopped in order, and started again.
    Stop,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..EVENTS).prop_map(Op::Submit),
        2 => (EVENTS..EVENTS + BARE).prop_map(Op::Submit),
        1 => Just(Op::Commit(false)),
        8 => Just(Op::Commit(true)),
        8 => (0..2_usize, 0..2_usize, 1..5_usize).prop_map(|(lane, route, size)| Op::Answer(lane, route, size)),
        1 => (0..2_usize, 0..4_usize).prop_map(|(lane, arrived)| Op::Fatal(lane, arrived)),
        4 => Just(Op::Page),
        1 => any::<bool>().prop_map(Op::Kafka),
        1 => any::<bool>().prop_map(Op::Disk),
        4 => (1..100_u64).prop_map(Op::Pass),
        1 => Just(Op::Pass(2100)),
        1 => any::<bool>().prop_map(Op::Kill),
        1 => Just(Op::Stop),
    ]
}

fn apply(world: &mut World, op: Op) {
    match op {
        Op::Submit(id) => world.submit(id),
        Op::Commit(ok) => world.commit(ok),
        Op::Answer(lane, route, size) => world.answer(lane, route, size),
        Op::Fatal(lane, arrived) => world.fatal(lane, arrived),
        Op::Page => world.page(),
        Op::Kafka(up) => world.kafka(up),
        Op::Disk(works) => world.disk.works = works,
        Op::Pass(ms) => world.pass(ms),
        Op::Kill(written) => world.kill(written),
        Op::Stop => world.stop(),
    }
    world.turn();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_is_answered_is_safe_in_order_and_published_once(
        policy in prop_oneof![Just(AnswerAfter::Kafka), Just(AnswerAfter::Disk), Just(AnswerAfter::KafkaOnly)],
        spool_records in prop_oneof![2 => Just(usize::MAX), 1 => 2..12_usize],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut world = World::new(policy, spool_records);
        for op in ops {
            apply(&mut world, op);
        }
        world.come_to_rest();
        world.check();
    }
}

/// The commit that stores its DLQ record says, too, that the event is known; meanwhile the DLQ topic refuses that record.
#[test]
fn a_re_delivery_of_an_event_that_both_topics_refuse_waits_until_it_is_parked() {
    for (policy, safe) in [(AnswerAfter::Kafka, true), (AnswerAfter::KafkaOnly, false)] {
        let mut world = World::new(policy, usize::MAX);
        let stored = [Op::Submit(16), Op::Submit(0), Op::Pass(50), Op::Commit(true), Op::Kill(false)];
        let again = [Op::Submit(16), Op::Page, Op::Answer(0, 0, 2)];
        for op in stored.into_iter().chain(again) {
            apply(&mut world, op);
        }
        world.come_to_rest();
        world.check();
        assert_eq!(world.was_safe(16), safe, "{policy:?}");
    }
}

/// Disk and Kafka fail together, and two pushes under a signature that came with another event are decided at once.
#[test]
fn a_quarantine_that_was_given_up_is_not_what_the_next_one_waits_for() {
    let mut world = World::new(AnswerAfter::Kafka, usize::MAX);
    let bound = [Op::Submit(41), Op::Commit(true), Op::Disk(false), Op::Kill(false)];
    let reused = [Op::Submit(47), Op::Kafka(false), Op::Commit(false), Op::Pass(5), Op::Commit(false), Op::Submit(47)];
    for op in bound.into_iter().chain(reused).chain([Op::Stop]) {
        apply(&mut world, op);
    }
    world.come_to_rest();
    world.check();
}

/// Its move to the DLQ topic failed with the disk; when that works again, the spool is full.
#[test]
fn a_refused_record_stays_on_disk_while_there_is_no_room_for_its_dead_letter() {
    let mut world = World::new(AnswerAfter::Kafka, 2);
    let stored =
        [Op::Submit(34), Op::Submit(0), Op::Pass(50), Op::Commit(false), Op::Answer(0, 0, 2), Op::Commit(true)];
    let refused = [Op::Submit(0), Op::Pass(2100), Op::Commit(false), Op::Pass(5), Op::Answer(0, 1, 1)];
    let not_moved = [Op::Commit(false), Op::Pass(5), Op::Submit(1), Op::Pass(5)];
    let full = [Op::Commit(true), Op::Commit(true), Op::Kill(false)];
    for op in stored.into_iter().chain(refused).chain(not_moved).chain(full) {
        apply(&mut world, op);
    }
    world.come_to_rest();
    world.check();
}
