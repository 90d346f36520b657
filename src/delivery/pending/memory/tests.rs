use super::*;

type Index = Memory<u32, char>;

fn index(horizon: i64, held: usize) -> Index {
    Index::new(horizon, Limits { held, due: 3 })
}

/// Holds these ids as acknowledged, each at the event second of its number.
fn acked(memory: &mut Index, ids: std::ops::RangeInclusive<u32>) {
    for id in ids {
        memory.insert(id.into(), id, 'a');
        memory.acked(id.into(), id);
    }
}

fn keys(due: &[Due<u32, char>]) -> Vec<u32> {
    due.iter().map(|due| due.key).collect()
}

#[test]
fn above_the_horizon_what_is_not_held_is_new_and_below_it_the_store_decides() {
    let mut memory = index(100, 10);
    assert_eq!(memory.find(101, &1), Found::New);
    assert_eq!(memory.find(100, &1), Found::AskStore);
    memory.insert(101, 1, 'a');
    assert_eq!(memory.find(101, &1), Found::Known('a'));
    assert_eq!(memory.find(101, &2), Found::New);
}

#[test]
fn the_id_of_an_event_that_is_in_memory_only_is_not_written() {
    let mut memory = index(0, 10);
    memory.insert(1, 1, 'a');
    assert!(!memory.has_due());
    memory.acked(1, 1);
    assert_eq!(keys(&memory.due(10)), [1]);
}

#[test]
fn an_id_that_the_store_lacks_is_held_below_the_horizon_too_until_it_is_saved() {
    let mut memory = index(100, 10);
    memory.insert(50, 1, 'a');
    memory.acked(50, 1);
    let due = memory.due(10);
    assert_eq!(memory.find(50, &1), Found::Known('a'), "while the commit runs");
    memory.saved(&due);
    assert_eq!((memory.find(50, &1), memory.len(), memory.has_due()), (Found::AskStore, 0, false));
    memory.insert(50, 2, 'a');
    memory.stored(50, &2, 'b');
    assert_eq!((memory.find(50, &2), memory.len()), (Found::Known('a'), 1), "it is at another place");
    memory.stored(50, &2, 'a');
    assert_eq!((memory.find(50, &2), memory.len()), (Found::AskStore, 0));
}

#[test]
fn an_id_that_moved_while_it_was_written_is_written_again() {
    let mut memory = index(0, 10);
    acked(&mut memory, 1..=1);
    let due = memory.due(10);
    memory.insert(1, 1, 'b');
    memory.saved(&due);
    assert_eq!(memory.find(1, &1), Found::Known('b'));
    memory.acked(1, 1);
    assert_eq!(memory.due(10).first().map(|due| due.place), Some('b'));
}

#[test]
fn above_its_limit_the_oldest_seconds_are_left_to_the_store() {
    let mut memory = index(0, 3);
    acked(&mut memory, 1..=3);
    memory.saved(&memory.due(2));
    acked(&mut memory, 4..=4);
    assert_eq!(memory.len(), 3);
    assert_eq!(memory.find(1, &1), Found::AskStore);
    assert_eq!(memory.find(1, &9), Found::AskStore, "its second is below the horizon now");
    assert_eq!(memory.find(2, &2), Found::Known('a'));
}

#[test]
fn ids_that_the_store_lacks_are_forgotten_last_and_the_oldest_first() {
    let mut memory = index(0, 1);
    acked(&mut memory, 1..=4);
    assert_eq!(memory.len(), 3);
    assert_eq!(memory.find(1, &1), Found::AskStore);
    assert_eq!(memory.find(2, &2), Found::Known('a'));
}

#[test]
fn an_id_of_the_future_is_learnt_from_the_store_at_a_start() {
    let mut memory = index(100, 10);
    memory.learn(4000, 7, 'z');
    assert_eq!(memory.find(4000, &7), Found::Known('z'));
    assert!(!memory.has_due());
}

#[test]
fn an_event_that_was_given_up_is_new_again() {
    let mut memory = index(0, 10);
    acked(&mut memory, 1..=1);
    memory.forget(1, &1);
    assert_eq!((memory.find(1, &1), memory.has_due(), memory.len()), (Found::New, false, 0));
}
