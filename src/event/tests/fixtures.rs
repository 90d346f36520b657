//! The public sample bodies beside the project: each has its type, and a card event the fields that stand in its text.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{published, read};
use crate::{
    event::{Event, EventError, EventType},
    protocol::Document,
};

/// Files in clear with the event that the index names; none where the folder is absent.
fn fixtures() -> Vec<(String, String)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = option_env!("CARDHOOK_SHARED").map_or_else(beside, PathBuf::from).join("fixtures");
    let Ok(index) = fs::read_to_string(folder.join("INDEX.tsv")) else {
        let strict = option_env!("TESTS_STRICT") == Some("all");
        assert!(!strict, "a skip fails here: no {}", folder.display());
        println!("skipped: no {} (set CARDHOOK_SHARED)", folder.display());
        return Vec::new();
    };
    let clear = index.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>()).filter(|row| {
        let [file, _, _, encrypted, _, well_formed, ..] = row[..] else { panic!("an odd line in INDEX.tsv") };
        Path::new(file).extension().is_some_and(|extension| extension == "xml")
            && encrypted == "no"
            && well_formed == "yes"
    });
    clear.map(|row| (row[1].to_owned(), fs::read_to_string(folder.join(row[0])).unwrap())).collect()
}

/// What stands between a tag's first pair, without CDATA and blanks: not our reader, and good enough for these bodies.
fn element(xml: &str, tag: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    let (text, _) = rest.split_once(&format!("</{tag}>"))?;
    let text = text.trim();
    let text = text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")).unwrap_or(text);
    Some(text.trim().to_owned())
}

fn field_as_text(field: &Value) -> Vec<String> {
    match field {
        Value::Null => vec![String::new()],
        Value::Bool(true) => vec!["1".to_owned(), "true".to_owned()],
        Value::Bool(false) => vec!["0".to_owned(), "false".to_owned()],
        Value::String(text) => vec![text.clone(), format!("({text})")],
        number => vec![number.to_string()],
    }
}

fn is_about_a_card(event: &str, xml: &str) -> bool {
    event.to_lowercase().contains("card") || element(xml, "CardId").is_some() || element(xml, "UserCardCode").is_some()
}

#[test]
fn every_public_body_has_the_type_that_its_index_names() {
    for (event, xml) in fixtures() {
        let document = Document::parse(xml.as_bytes()).unwrap();
        match read(&document) {
            Ok(Event::Card(card)) => {
                let expected = EventType::of_name(&event).unwrap_or(EventType::Unknown);
                assert_eq!(card.event_type(), expected.as_str(), "{event}");
                assert!(is_about_a_card(&event, &xml), "{event}");
            }
            Ok(Event::Other(_)) => assert!(!is_about_a_card(&event, &xml), "{event}"),
            Err(EventError::Malformed(_)) => {
                assert!(xml.contains("<InfoType>") || !xml.contains("<ToUserName>"), "{event}");
            }
            Err(error) => panic!("{event}: {error}"),
        }
    }
}

#[test]
fn every_field_of_a_public_card_body_is_what_stands_in_its_text() {
    for (event, xml) in fixtures() {
        let Some(row) = EventType::of_name(&event) else { continue };
        let json = published(&Document::parse(xml.as_bytes()).unwrap());
        assert_eq!(json["openid"], element(&xml, "FromUserName").unwrap(), "{event}");
        assert_eq!(
            json["event_time_ms"].to_string(),
            format!("{}000", element(&xml, "CreateTime").unwrap()),
            "{event}"
        );
        for (tag, _) in row.sample() {
            let field = match tag {
                "UserCardCode" => "code".to_owned(),
                "FriendUserName" => "friend_openid".to_owned(),
                "OldUserCardCode" => "old_code".to_owned(),
                "CreateOrderTime" | "PayFinishTime" => continue,
                _ => field_of_tag(&json, tag),
            };
            let sent = element(&xml, tag).or_else(|| element(&xml, "OutetStr").filter(|_| tag == "OuterStr"));
            assert!(field_as_text(&json[&field]).contains(&sent.unwrap_or_default()), "{event}: {field}");
        }
    }
}

fn field_of_tag(json: &Value, tag: &str) -> String {
    let is_named_so = |field: &&String| field.replace('_', "").eq_ignore_ascii_case(tag);
    json.as_object().unwrap().keys().find(is_named_so).unwrap_or_else(|| panic!("no field for {tag}")).clone()
}
