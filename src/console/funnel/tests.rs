//! Channels, in bounded memory.

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn stages(received: u64, consumed: u64) -> Stages {
    Stages { received, consumed, ..Stages::default() }
}

#[test]
fn what_happens_to_a_card_counts_for_the_channel_that_it_came_by() {
    let mut channels = Channels::default();
    channels.add(0, Stage::Received, Some("poster"), Some("1"), NOW);
    channels.add(0, Stage::Consumed, None, Some("1"), NOW);
    channels.add(1, Stage::Deleted, None, Some("1"), NOW);
    let funnel = channels.top(Over::Start, Some(0), NOW);
    assert_eq!(funnel.channels, [Channel { outer_str: Some("poster".to_owned()), stages: stages(1, 1), error: 0 }]);
    let other = channels.top(Over::Start, Some(1), NOW);
    assert_eq!(other.channels[0].outer_str, None, "another account's card may have the same code");
}

#[test]
fn the_largest_channels_are_right_however_many_there_are() {
    let mut channels = Channels::default();
    for number in 0..20_000 {
        channels.add(0, Stage::Received, Some(&format!("once-{number}")), None, NOW);
        if number % 10 == 0 {
            channels.add(0, Stage::Received, Some("large"), None, NOW);
        }
    }
    for over in [Over::Start, Over::Hour, Over::Day] {
        let funnel = channels.top(over, None, NOW);
        assert_eq!(funnel.channels.len(), TOP);
        let largest = funnel.channels.iter().find(|channel| channel.outer_str.as_deref() == Some("large")).unwrap();
        assert!(largest.stages.received + largest.error >= 2000 && largest.stages.received <= 2000, "{largest:?}");
        let shown: u64 = funnel.channels.iter().map(|channel| channel.stages.received).sum();
        assert_eq!(shown + funnel.rest.received, 22_000, "nothing is lost between the rows");
    }
    assert_eq!(channels.start.counters.len(), CHANNELS);
}

#[test]
fn a_window_forgets_what_is_older() {
    let mut channels = Channels::default();
    channels.add(0, Stage::Received, Some("a"), None, NOW);
    channels.add(0, Stage::Received, Some("b"), None, NOW + 2 * 3_600_000);
    let names = |over| -> Vec<_> {
        let funnel = channels.top(over, None, NOW + 2 * 3_600_000);
        funnel.channels.into_iter().filter_map(|channel| channel.outer_str).collect()
    };
    assert_eq!(names(Over::Hour), ["b"]);
    assert_eq!(names(Over::Day), ["a", "b"]);
}
