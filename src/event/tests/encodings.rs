//! What is sent in any encoding reads back as the event that it was.

use serde_json::{Value, json};

use crate::event::{
    EncodeError, Encoding, Event, Headers, Record, RecordError, SchemaId, avro_schema, record_json, schema::examples,
};

const ID: u32 = 0x0102_0304;

fn avro() -> Encoding {
    let id = SchemaId::default();
    id.set(ID);
    Encoding::Avro(id)
}

fn json_record(event: &Value) -> Record {
    let mut headers = Headers::new();
    for (name, value) in
        [("content-type", "application/json"), ("ce_specversion", "1.0"), ("ce_id", "1"), ("traceparent", "00-1-2-01")]
    {
        headers.push(name, value);
    }
    Record { key: Some("oUser1".to_owned()), timestamp_ms: 1, headers, value: event.to_string().into_bytes().into() }
}

fn headers(record: &Record) -> Vec<(&str, &[u8])> {
    record.headers.iter().map(|(name, value)| (name, value.as_bytes())).collect()
}

fn read(value: &[u8]) -> Result<Event<'static>, RecordError> {
    Event::from_record(value, [])
}

#[test]
fn an_event_of_every_type_reads_back_from_each_encoding_with_and_without_headers() {
    for encoding in [Encoding::Json, Encoding::CloudEvents, avro()] {
        for (event_type, mut example) in examples().unwrap() {
            example["extra"] = json!({ "New": "新 \"1\"", "Twice": ["1", ""], "None": "", "Long": "x".repeat(200) });
            let sent = encoding.encode(&json_record(&example)).unwrap().into_owned();
            assert_eq!((sent.key.as_deref(), sent.timestamp_ms), (Some("oUser1"), 1));
            assert_eq!(sent.headers.get("traceparent"), Some("00-1-2-01"));
            for read in [Event::from_record(&sent.value, headers(&sent)), read(&sent.value)] {
                let record = match read.unwrap() {
                    Event::Card(event) => event.record(),
                    Event::Other(message) => message.record(),
                };
                assert_eq!(serde_json::from_slice::<Value>(&record.value).unwrap(), example, "{event_type}");
            }
        }
    }
}

#[test]
fn a_structured_record_is_one_cloud_event_with_the_event_as_its_data() {
    let (_, example) = examples().unwrap().remove(0);
    let sent = Encoding::CloudEvents.encode(&json_record(&example)).unwrap().into_owned();
    let document: Value = serde_json::from_slice(&sent.value).unwrap();
    let expected = json!({ "datacontenttype": "application/json", "specversion": "1.0", "id": "1", "data": example });
    assert_eq!(document, expected);
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| name).collect();
    assert_eq!((sent.headers.get("content-type"), names.len()), (Some("application/cloudevents+json"), 2));
}

#[test]
fn an_avro_record_waits_for_the_schemas_id_and_begins_with_it() {
    let (_, example) = examples().unwrap().remove(0);
    let record = json_record(&example);
    assert_eq!(Encoding::Avro(SchemaId::default()).encode(&record).unwrap_err(), EncodeError::NoSchemaId);
    let sent = avro().encode(&record).unwrap().into_owned();
    assert!(sent.value.starts_with(&[0, 1, 2, 3, 4]), "{:?}", &sent.value[..6]);
    assert_eq!(sent.headers.get("content-type"), Some("application/avro"));
    assert_eq!(sent.headers.get("ce_id"), Some("1"));
    let odd = Record { value: b"<xml/>"[..].into(), ..record };
    assert_eq!(avro().encode(&odd).unwrap_err(), EncodeError::NotAnEvent);
}

#[test]
fn an_avro_record_of_an_older_release_lacks_only_the_newer_fields() {
    let (_, mut example) = examples().unwrap().remove(0);
    example["extra"] = json!({});
    let sent = avro().encode(&json_record(&example)).unwrap().into_owned();
    let fields = avro_schema()["fields"].as_array().unwrap().len();
    let last_is_null = sent.value.strip_suffix(&[0]).unwrap();
    assert_eq!(record_json(last_is_null, []).unwrap().as_object().unwrap().len(), fields - 1);
    read(last_is_null).unwrap();
}

#[test]
fn a_torn_or_foreign_record_is_an_error_that_shows_no_value() {
    let (_, example) = examples().unwrap().remove(2);
    let whole = avro().encode(&json_record(&example)).unwrap().into_owned().value;
    for cut in 0..60 {
        assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let told = |value: &[u8]| read(value).unwrap_err().to_string();
    assert_eq!(told(b"<xml>oUser1</xml>"), "the value is not JSON: line 1, column 1");
    assert_eq!(told(br#"{"openid":"oUser1"}"#), "the value has no event_type: it is not an event of cardhook");
    assert_eq!(
        told(br#"{"event_type":"card.new"}"#),
        "the event_type \"card.new\" is newer than this release of cardhook"
    );
    assert_eq!(
        told(br#"{"event_type":"card.viewed","openid":7}"#),
        "a field of card.viewed is missing, or not of its type"
    );
    let headers: [(&str, &[u8]); 1] = [("content-type", b"text/xml; charset=utf-8")];
    let error = Event::from_record(b"{}", headers).unwrap_err();
    assert!(matches!(error, RecordError::ContentType(found) if found == "text/xml"));
    let headers: [(&str, &[u8]); 1] = [("dlq_reason", b"malformed")];
    assert!(matches!(Event::from_record(b"{}", headers), Err(RecordError::DeadLetter)));
}
