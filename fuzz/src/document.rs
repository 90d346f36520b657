//! Documents written from their children, so that they read as the same children again.

use cardhook::protocol::{Child, Value};

/// Contract §1.2's white space.
pub const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// A document of these children.
pub fn compose<'c, 'd: 'c>(children: impl IntoIterator<Item = &'c Child<'d>>) -> String {
    let mut xml = String::from("<xml>");
    for child in children {
        let content = match &child.value {
            Value::Text(text) => section(text),
            Value::Elements(inner) => inner.to_string(),
        };
        xml.extend(["<", &child.tag, ">", &content, "</", &child.tag, ">\n"]);
    }
    xml.push_str("</xml>");
    xml
}

/// A text as CDATA. A section can hold neither its own end nor a CR.
pub fn section(text: &str) -> String {
    let text = text.replace("]]>", "]]]]><![CDATA[>").replace('\r', "]]>&#13;<![CDATA[");
    format!("<![CDATA[{text}]]>")
}
