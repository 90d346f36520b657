//! The sending side of the envelope: bodies as WeChat writes them in compat and secure mode (wire facts §2.4).
//!
//! Does not depend on how a ciphertext is made: that is `seal`.

use std::fmt::Write as _;

use super::{Document, Value};

/// A secure push's body: four blanks before each element, a line feed behind everything.
#[must_use]
pub fn secure_body(to_user: &str, encrypt: &str) -> String {
    let mut body = String::from("<xml>\n");
    element(&mut body, "ToUserName", &Section(to_user));
    element(&mut body, "Encrypt", &Section(encrypt));
    body.push_str("</xml>\n");
    body
}

/// A compat push's body: the clear document's elements and, behind them, the ciphertext.
///
/// Decimals are written bare, other text as CDATA, elements within elements as received.
#[must_use]
pub fn compat_body(clear: &Document<'_>, encrypt: &str) -> String {
    let mut body = String::from("<xml>\n");
    for child in &clear.children {
        match &child.value {
            Value::Text(text) if is_decimal(text) => element(&mut body, &child.tag, text),
            Value::Text(text) => element(&mut body, &child.tag, &Section(text)),
            Value::Elements(inner) => element(&mut body, &child.tag, inner),
        }
    }
    element(&mut body, "Encrypt", &Section(encrypt));
    body.push_str("</xml>\n");
    body
}

fn element(body: &mut String, tag: &str, content: &impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(body, "    <{tag}>{content}</{tag}>");
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Prints as a CDATA section. One can hold neither its own end, which goes on in the next one, nor a CR, which reads as a line
/// feed and so stands between two as a reference.
struct Section<'a>(&'a str);

impl std::fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.replace("]]>", "]]]]><![CDATA[>").replace('\r', "]]>&#13;<![CDATA[");
        write!(f, "<![CDATA[{text}]]>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secure_body_has_wechats_indentation_and_line_ends() {
        assert_eq!(
            secure_body("gh_shop", "abc="),
            "<xml>\n    <ToUserName><![CDATA[gh_shop]]></ToUserName>\n    <Encrypt><![CDATA[abc=]]></Encrypt>\n</xml>\n"
        );
    }

    #[test]
    fn a_compat_body_carries_the_clear_elements_before_the_ciphertext() {
        let clear = "<xml><ToUserName><![CDATA[gh_shop]]></ToUserName>\n<CreateTime>7</CreateTime>\n<Info><Id>1</Id></Info>\n</xml>";
        let clear = Document::parse(clear.as_bytes()).unwrap();
        assert_eq!(
            compat_body(&clear, "abc="),
            "<xml>\n    <ToUserName><![CDATA[gh_shop]]></ToUserName>\n    <CreateTime>7</CreateTime>\n    \
             <Info><Id>1</Id></Info>\n    <Encrypt><![CDATA[abc=]]></Encrypt>\n</xml>\n"
        );
    }

    #[test]
    fn every_text_comes_back_from_a_compat_body() {
        let clear = "<xml><A><![CDATA[ a]]]]><![CDATA[>b ]]></A><B>&lt;&amp;</B><C/><D>a&#13;b</D></xml>";
        let clear = Document::parse(clear.as_bytes()).unwrap();
        let body = compat_body(&clear, "abc=");
        let mut read = Document::parse(body.as_bytes()).unwrap();
        read.children.pop();
        assert!(read == clear);
    }
}
