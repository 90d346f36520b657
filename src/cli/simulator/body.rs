//! A clear body in WeChat's exact form: `<xml>` and the first element on one line, LF between elements, none at the end.

use std::borrow::Cow;

/// The elements of one push, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Body {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    tag: Cow<'static, str>,
    text: Cow<'static, str>,
    /// WeChat writes numbers bare and everything else as CDATA.
    cdata: bool,
}

impl Body {
    /// Appends an element with a CDATA section.
    pub(super) fn text(&mut self, tag: &'static str, text: impl Into<Cow<'static, str>>) {
        self.elements.push(Element { tag: Cow::Borrowed(tag), text: text.into(), cdata: true });
    }

    /// Appends an element with bare text: a number, or `true` and `false`.
    pub(super) fn bare(&mut self, tag: &'static str, text: impl Into<Cow<'static, str>>) {
        self.elements.push(Element { tag: Cow::Borrowed(tag), text: text.into(), cdata: false });
    }

    /// Gives the first element of this tag another text, or appends one.
    pub(in crate::cli) fn set(&mut self, tag: &str, text: &str) {
        let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match self.elements.iter_mut().find(|element| element.tag.eq_ignore_ascii_case(tag)) {
            Some(element) => {
                element.text = Cow::Owned(text.to_owned());
                element.cdata |= !number;
            }
            None => self.elements.push(Element {
                tag: Cow::Owned(tag.to_owned()),
                text: Cow::Owned(text.to_owned()),
                cdata: true,
            }),
        }
    }

    /// The document.
    pub(in crate::cli) fn to_xml(&self) -> Vec<u8> {
        let mut xml = String::from("<xml>");
        for Element { tag, text, cdata } in &self.elements {
            let (open, close) = if *cdata { ("<![CDATA[", "]]>") } else { ("", "") };
            // A section cannot hold its own end: it goes on in the next one.
            let text = text.replace("]]>", "]]]]><![CDATA[>");
            for part in ["<", tag, ">", open, &text, close, "</", tag, ">\n"] {
                xml.push_str(part);
            }
        }
        xml.push_str("</xml>");
        xml.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(body: &Body) -> String {
        String::from_utf8(body.to_xml()).unwrap()
    }

    #[test]
    fn a_body_has_the_line_breaks_of_wechat() {
        let mut body = Body::default();
        body.text("ToUserName", "gh_1");
        body.bare("CreateTime", "7");
        assert_eq!(xml(&body), "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>\n<CreateTime>7</CreateTime>\n</xml>");
    }

    #[test]
    fn setting_a_tag_replaces_its_first_element_or_appends_one() {
        let mut body = Body::default();
        body.bare("Fee", "1");
        body.set("fee", "<2>");
        body.set("New", "");
        assert_eq!(xml(&body), "<xml><Fee><![CDATA[<2>]]></Fee>\n<New><![CDATA[]]></New>\n</xml>");
    }

    #[test]
    fn the_end_of_a_section_inside_a_text_does_not_end_it() {
        let mut body = Body::default();
        body.text("Memo", "a]]>b");
        assert_eq!(xml(&body), "<xml><Memo><![CDATA[a]]]]><![CDATA[>b]]></Memo>\n</xml>");
    }
}
