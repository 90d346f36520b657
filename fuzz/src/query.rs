//! The query parser against a slow reading of the same rules; order, spelling and strangers do not count.

use std::fmt::Write as _;

use cardhook::protocol::Query;

const NAMES: [&str; 7] = ["signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature", "echostr"];

/// `data` is a raw query string.
pub fn check(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let read = Query::parse(raw);
    assert_eq!(read.as_ref().ok().map(values), slow(raw), "the parser and the rules disagree");

    let strangers = format!("{raw}&Signature=1&x=%zz&x&&%FF=1");
    assert_eq!(Query::parse(&strangers), read, "other parameters count");

    let Ok(query) = &read else { return };
    let reversed: Vec<&str> = raw.rsplit('&').collect();
    assert_eq!(Query::parse(&reversed.join("&")).as_ref(), Ok(query), "the order counts");
    let escaped: Vec<String> = NAMES
        .iter()
        .zip(values(query))
        .filter_map(|(name, value)| Some(format!("{}={}", escape(name), escape(&value?))))
        .collect();
    assert_eq!(Query::parse(&escaped.join("&")).as_ref(), Ok(query), "an escaped query is another one");
}

fn values(query: &Query<'_>) -> [Option<String>; 7] {
    let Query { signature, timestamp, nonce, openid, encrypt_type, msg_signature, echostr } = query;
    [signature, timestamp, nonce, openid, encrypt_type, msg_signature, echostr]
        .map(|value| value.as_deref().map(str::to_owned))
}

/// Contract §2: each of the seven at most once, not empty, decodable; `None` for what is malformed.
fn slow(raw: &str) -> Option<[Option<String>; 7]> {
    let pairs = raw.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let pairs: Vec<(Option<String>, &str)> = pairs.map(|(name, value)| (unescape(name), value)).collect();
    let mut found = [const { None }; 7];
    for (name, value) in NAMES.iter().zip(&mut found) {
        let mut same = pairs.iter().filter(|(left, _)| left.as_deref() == Some(name)).map(|(_, right)| right);
        if let Some(only) = same.next() {
            *value = Some(unescape(only).filter(|text| !text.is_empty())?);
        }
        if same.next().is_some() {
            return None;
        }
    }
    Some(found)
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        let _ = write!(escaped, "%{byte:02x}");
    }
    escaped
}
