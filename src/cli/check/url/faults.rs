//! What an answer on the public way has wrong, in words, and the cure.

use super::{Answer, ECHOSTR};

pub(super) type Fault = (String, &'static str);

/// What every answer may have wrong.
fn fault(answer: &Answer) -> Option<Fault> {
    let Answer { status, location, encoding, .. } = answer;
    if status.is_redirection() {
        let to = location.as_deref().unwrap_or("nowhere");
        // The target repeats the query, which is signed: only where it leads is shown.
        let to = to.split('?').next().unwrap_or_default();
        let found = format!("a redirect ({}) to {to}: a push loses its body there", status.as_u16());
        return Some((found, "give WeChat the URL that it leads to, and serve it without a redirect"));
    }
    if let Some(encoding) = encoding {
        return Some((format!("the answer is compressed ({encoding})"), "switch compression off for this path"));
    }
    match status.as_u16() {
        404 => Some((
            "404".to_owned(),
            "let the proxy pass this path on to cardhook unchanged (no slash added or removed)",
        )),
        502..=504 => Some((
            format!("{}: the proxy does not reach cardhook", status.as_u16()),
            "start cardhook, and check the address that the proxy passes this path on to",
        )),
        _ => None,
    }
}

pub(super) fn handshake_fault(answer: &Answer) -> Option<Fault> {
    if let Some(fault) = fault(answer) {
        return Some(fault);
    }
    match answer.status.as_u16() {
        200 => around(&answer.body).map(|found| (found, "return cardhook's answer as it is")),
        400 => Some((
            "400: the query does not arrive as it was sent".to_owned(),
            "let the proxy pass the query on (nginx: proxy_pass without a path of its own, or with $request_uri)",
        )),
        403 => Some((
            "403: another token, a source that is not allowed, or a query that was changed".to_owned(),
            "the running service's log names the cause; does it run with this configuration?",
        )),
        other => Some((format!("status {other}"), "let the proxy pass this path on to cardhook")),
    }
}

/// What stands around the echostr, in words; `None` when it is all there is.
fn around(body: &[u8]) -> Option<String> {
    let (echostr, text) = (ECHOSTR.as_bytes(), String::from_utf8_lossy(body));
    let what = if body == echostr {
        return None;
    } else if body.starts_with(b"\xEF\xBB\xBF") {
        "a byte order mark"
    } else if text.trim() == ECHOSTR {
        "a blank or a line break"
    } else if text.trim_matches(['"', '\'']) == ECHOSTR {
        "quotes"
    } else if text.contains(ECHOSTR) {
        "other text"
    } else if text.trim_start().starts_with('<') {
        return Some("a page of HTML or XML in place of the echostr".to_owned());
    } else {
        return Some("other text in place of the echostr".to_owned());
    };
    Some(format!("{what} around the echostr"))
}

pub(super) fn push_fault(answer: &Answer) -> Option<Fault> {
    if let Some(fault) = fault(answer) {
        return Some(fault);
    }
    match answer.status.as_u16() {
        200 => None,
        413 => Some(("413".to_owned(), "raise the proxy's limit to server.max_body_bytes")),
        403 => Some((
            "403: the body or the query is changed on the way, or the mode differs".to_owned(),
            "the running service's log names the cause",
        )),
        other => Some((format!("status {other}"), "let the proxy pass POST on to cardhook")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn what_stands_around_the_echostr_is_named() {
        for (body, found) in [
            (ECHOSTR.to_owned(), None),
            (format!("\u{feff}{ECHOSTR}"), Some("a byte order mark around the echostr")),
            (format!("{ECHOSTR}\n"), Some("a blank or a line break around the echostr")),
            (format!("\"{ECHOSTR}\""), Some("quotes around the echostr")),
            (format!("<p>{ECHOSTR}</p>"), Some("other text around the echostr")),
            ("<html>".to_owned(), Some("a page of HTML or XML in place of the echostr")),
            ("success".to_owned(), Some("other text in place of the echostr")),
        ] {
            assert_eq!(around(body.as_bytes()).as_deref(), found, "{body:?}");
        }
    }

    #[test]
    fn a_redirects_target_is_named_without_its_query() {
        let answer = Answer {
            status: StatusCode::MOVED_PERMANENTLY,
            location: Some("https://a/wechat/shop/?signature=s3cret".to_owned()),
            encoding: None,
            body: Vec::new(),
            took: Duration::ZERO,
        };
        let (found, _) = handshake_fault(&answer).unwrap();
        assert!(found.contains("https://a/wechat/shop/") && !found.contains("s3cret"), "{found}");
    }
}
