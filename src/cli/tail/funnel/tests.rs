use super::*;

/// Feeds events of one card type, each a second after the one before it, with an id of its own.
#[derive(Default)]
struct Feed {
    funnel: Funnel,
    events: i64,
}

impl Feed {
    fn event(&mut self, event_type: &str, mut fields: serde_json::Value) -> &mut Self {
        self.events += 1;
        for (name, value) in [
            ("event_id", serde_json::json!(format!("id-{}", self.events))),
            ("event_type", event_type.into()),
            ("event_time_ms", (self.events * 1000).into()),
            ("card_id", "pTEST".into()),
        ] {
            if fields.get(name).is_none() {
                fields[name] = value;
            }
        }
        self.funnel.count(&Event::read(fields.to_string().as_bytes()).unwrap());
        self
    }

    fn received(&mut self, code: &str, outer_str: Option<&str>) -> &mut Self {
        self.event("card.received", serde_json::json!({"code": code, "outer_str": outer_str}))
    }

    fn given(&mut self, old: &str, new: &str) -> &mut Self {
        self.event("card.received", serde_json::json!({"code": new, "old_code": old, "outer_str": null}))
    }

    fn happened(&mut self, event_type: &str, code: &str) -> &mut Self {
        self.event(event_type, serde_json::json!({"code": code, "outer_str": "till-4"}))
    }

    /// `outer_str`, received, then each stage.
    fn rows(&self) -> Vec<(String, [u64; 5])> {
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let counts =
                ["received", "activated", "viewed", "consumed", "deleted"].map(|name| row[name].as_u64().unwrap());
            (row["outer_str"].as_str().unwrap_or("-").to_owned(), counts)
        };
        self.funnel.json().lines().map(row).collect()
    }
}

fn row(name: &str, counts: [u64; 5]) -> (String, [u64; 5]) {
    (name.to_owned(), counts)
}

#[test]
fn a_redemption_counts_for_the_channel_that_the_card_came_through() {
    let mut feed = Feed::default();
    feed.received("01", Some("poster"))
        .received("02", Some("poster"))
        .received("03", None)
        .happened("card.consumed", "01");
    assert_eq!(feed.rows(), [row("poster", [2, 0, 0, 1, 0]), row("-", [1, 0, 0, 0, 0])]);
}

#[test]
fn every_stage_counts_a_card_once() {
    let mut feed = Feed::default();
    feed.received("01", Some("poster")).happened("member_card.activated", "01");
    feed.happened("card.viewed", "01").happened("card.viewed", "01").happened("card.deleted", "01");
    assert_eq!(feed.rows(), [row("poster", [1, 1, 1, 0, 1])]);
}

#[test]
fn an_event_that_arrives_twice_counts_once_even_after_the_card_was_given_away() {
    let mut feed = Feed::default();
    feed.received("01", Some("poster")).given("01", "02");
    feed.event("card.received", serde_json::json!({"event_id": "id-1", "code": "01", "outer_str": "poster"}));
    assert_eq!((feed.rows(), feed.funnel.duplicates), (vec![row("poster", [1, 0, 0, 0, 0])], 1));
}

#[test]
fn a_gifted_card_stays_one_card_of_its_channel() {
    let mut feed = Feed::default();
    feed.received("01", Some("poster")).given("01", "02").given("02", "03").happened("card.consumed", "03");
    assert_eq!(feed.rows(), [row("poster", [1, 0, 0, 1, 0])]);
}

#[test]
fn owners_in_other_partitions_may_be_read_first() {
    let mut feed = Feed::default();
    feed.happened("card.consumed", "03").given("02", "03").given("01", "02").received("01", Some("poster"));
    assert_eq!(feed.rows(), [row("poster", [1, 0, 0, 1, 0])]);
}

#[test]
fn a_card_received_before_is_not_counted_and_said() {
    let mut feed = Feed::default();
    feed.happened("card.consumed", "09");
    assert_eq!(feed.rows(), []);
    assert_eq!(feed.funnel.remarks(), ["1 cards were received before what was read, and are not counted"]);
}

#[test]
fn the_table_has_rates_and_the_median_time_to_redemption_most_received_first() {
    let mut feed = Feed::default();
    feed.received("01", Some("few\u{1b}[2J"));
    feed.received("02", Some("many")).received("03", Some("many")).happened("card.consumed", "02");
    assert_eq!(
        feed.funnel.table(),
        "  received          activated             viewed           consumed            deleted    median  outer_str
         2          0    0.0%          0    0.0%          1   50.0%          0    0.0%        2s  many
         1          0    0.0%          0    0.0%          0    0.0%          0    0.0%         -  few\\u{1b}[2J
"
    );
}

#[test]
fn further_channels_share_a_row() {
    let mut feed = Feed::default();
    for number in 0..ROWS + 5 {
        feed.received(&number.to_string(), Some(&format!("c{number}")));
    }
    assert_eq!(feed.rows().len(), ROWS + 1);
    assert_eq!(feed.rows().first(), Some(&row("(others)", [5, 0, 0, 0, 0])));
}

#[test]
fn a_duration_is_shown_in_its_two_largest_units() {
    assert_eq!([59, 61, 3661, 90_000].map(duration), ["59s", "1m01s", "1h01m", "1d01h"]);
}
