//! What is no document: broken grammar, hostile constructs, and the bounds.

use super::*;

fn refusal(xml: impl AsRef<[u8]>) -> XmlError {
    let xml = xml.as_ref();
    Document::parse(xml).map(|_| ()).expect_err(&String::from_utf8_lossy(xml))
}

fn is_ill_formed(xml: &str) {
    let error = refusal(xml);
    assert!(matches!(error, XmlError::NotWellFormed { .. }), "{error}: {xml}");
}

#[test]
fn unknown_references_in_attributes_and_ampersands_that_begin_none_are_refused() {
    for reference in ["&nbsp;", "&LT;", "&#0;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&#;", "&#+65;", "&;"] {
        is_ill_formed(&format!("<xml a=\"{reference}\"/>"));
    }
    for dangling in ["&", "&amp", "a & b", "&a&amp;", "&#55357;&#56838"] {
        is_ill_formed(&format!("<xml><A>{dangling}</A></xml>"));
    }
}

#[test]
fn what_is_no_attribute_is_refused() {
    for attributes in [
        "b",
        "b=",
        "b=1",
        "b=\"",
        "b=\"1\"c=\"2\"",
        "=\"1\"",
        "1=\"1\"",
        "b=\"<\"",
        "<",
        "b/",
        "/ ",
        "b =\"1\" =",
        "\"\"",
        "b=\"&\"",
    ] {
        is_ill_formed(&format!("<xml><A {attributes}>1</A></xml>"));
    }
}

#[test]
fn what_is_cut_off_is_refused_at_every_byte() {
    let whole = "<?xml version=\"1.0\"?><xml><A b=\"c\"><![CDATA[1]]></A><!-- c -->\n<B>&lt;</B><C/></xml>";
    for end in 0..whole.len() {
        is_ill_formed(&whole[..end]);
    }
}

#[test]
fn what_stands_before_or_behind_the_root_is_refused() {
    for extra in ["x", "<xml/>", "</xml>", "&lt;", "&#32;", "<![CDATA[]]>", "\u{FEFF}\u{FEFF}", "<"] {
        is_ill_formed(&format!("<xml/>{extra}"));
        is_ill_formed(&format!("{extra}<xml/>"));
    }
}

#[test]
fn json_and_other_texts_are_no_documents() {
    for text in ["", " ", "\u{FEFF}", "success", "signature=1&nonce=2", "<!-- c -->", "<xml/>{}"] {
        is_ill_formed(text);
    }
    for json in ["{\"ToUserName\":\"gh_1\"}", "\u{FEFF}\n[1]", "{", "{}<xml/>"] {
        assert_eq!(refusal(json), XmlError::Json, "{json}");
    }
    assert!(XmlError::Json.to_string().contains("数据格式"), "it names the console's setting");
}

#[test]
fn tags_must_match_and_have_names() {
    for xml in [
        "<xml><A>1</B></xml>",
        "<xml><A>1</a></xml>",
        "<xml><A><B></A></B></xml>",
        "<xml><A></xml>",
        "<></>",
        "<xml>< A/></xml>",
        "<xml></ xml>",
        "<xml><1A/></xml>",
        "<xml><-A/></xml>",
        "<xml><A<B/></xml>",
        "<xml><A></A x></xml>",
        "<xml><A/ ></xml>",
        "<xml><a\"b/></xml>",
        "<xml><A&amp;/></xml>",
        "<xml><\u{D7}/></xml>",
    ] {
        is_ill_formed(xml);
    }
    assert_eq!(children("<xml><_a-1.b:\u{B7}/><é/></xml >").len(), 2);
}

#[test]
fn comments_and_sections_follow_the_grammar() {
    for content in
        ["<!-- a -- b -->", "<!--->", "<!-->", "<!-- a --->", "a]]>b", "<![cdata[a]]>", "<![CDATA [a]]>", "<!x>", "<!>"]
    {
        is_ill_formed(&format!("<xml><A>{content}</A></xml>"));
    }
    is_ill_formed("<xml>]]></xml>");
}

#[test]
fn a_doctype_is_refused_before_it_can_define_anything() {
    let laughs: Vec<String> =
        (1..9).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let bomb = format!("<!DOCTYPE xml [<!ENTITY l0 \"lol\">{}]><xml><A>&l8;</A></xml>", laughs.concat());
    assert_eq!(refusal(bomb), XmlError::Doctype);
    assert_eq!(refusal("<!DOCTYPE xml><xml/>"), XmlError::Doctype);
    let file = "<!DOCTYPE xml [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><xml><A>&f;</A></xml>";
    assert_eq!(refusal(file), XmlError::Doctype);
}

#[test]
fn processing_instructions_other_than_the_declaration_are_refused() {
    for xml in [
        "<?php 1 ?><xml/>",
        "<xml><?x?></xml>",
        "<xml/><?x y?>",
        "<?xml-stylesheet href='x'?><xml/>",
        "<?XML version='1.0'?><xml/>",
    ] {
        assert_eq!(refusal(xml), XmlError::ProcessingInstruction, "{xml}");
    }
}

#[test]
fn a_declaration_stands_first_and_once_and_follows_the_grammar() {
    for xml in [
        "<xml><?xml version=\"1.0\"?></xml>",
        "<!-- c --><?xml version=\"1.0\"?><xml/>",
        "<xml/><?xml version=\"1.0\"?>",
        "<?xml version=\"1.0\"?><?xml version=\"1.0\"?><xml/>",
        "<?xml?><xml/>",
        "<?xml ?><xml/>",
        "<?xml encoding=\"UTF-8\"?><xml/>",
        "<?xml version=\"2.0\"?><xml/>",
        "<?xml version=\"1.\"?><xml/>",
        "<?xml version=\"1.0\" standalone=\"maybe\"?><xml/>",
        "<?xml version=\"1.0\" standalone=\"no\" encoding=\"UTF-8\"?><xml/>",
        "<?xml version=1.0?><xml/>",
        "<?xml version=\"1.0\" x=\"1\"?><xml/>",
    ] {
        is_ill_formed(xml);
    }
}

#[test]
fn other_encodings_than_utf_8_are_refused() {
    for encoding in ["GBK", "UTF-16", "ISO-8859-1", "utf88", "utf", "u-tf8", "UTF_8", "UTF-8859", " utf-8", ""] {
        assert_eq!(refusal(format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><xml/>")), XmlError::Encoding);
    }
    for bom in ["\u{FEFF}", ""] {
        let units: Vec<u16> = format!("{bom}<xml/>").encode_utf16().collect();
        let utf16 = [u16::to_le_bytes, u16::to_be_bytes]
            .map(|to_bytes| units.iter().copied().flat_map(to_bytes).collect::<Vec<u8>>());
        for xml in &utf16 {
            assert_eq!(refusal(xml), XmlError::Encoding);
        }
    }
}

#[test]
fn the_bounds_hold_to_the_byte_the_level_and_the_element() {
    let sized = |bytes: usize| format!("<xml><A>{}</A></xml>", "a".repeat(bytes - "<xml><A></A></xml>".len()));
    assert_eq!(children(&sized(1 << 20)).len(), 1);
    assert_eq!(refusal(sized((1 << 20) + 1)), XmlError::TooLarge { found: 1_048_577, limit: 1_048_576 });

    let nested = |levels: usize| format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    assert_eq!(children(&nested(8)).len(), 1);
    assert_eq!(refusal(nested(9)), XmlError::TooDeep { limit: 8 });
    assert_eq!(refusal(nested(8).replace("></", "><b/></")), XmlError::TooDeep { limit: 8 });
    assert_eq!(refusal("<a>".repeat(20_000)), XmlError::TooDeep { limit: 8 });

    let wide = |elements: usize| format!("<xml>{}</xml>", "<a/>".repeat(elements - 1));
    assert_eq!(children(&wide(256)).len(), 255);
    assert_eq!(refusal(wide(257)), XmlError::TooManyElements { limit: 256 });
    let inner = format!("<xml><a>{}</a></xml>", "<b/>".repeat(255));
    assert_eq!(refusal(inner), XmlError::TooManyElements { limit: 256 });
}

#[test]
fn errors_and_debug_carry_no_text_of_the_body() {
    let error = refusal("<xml><Code>0123</Cod></xml>");
    assert_eq!(error.to_string(), "not well-formed XML at byte 15");
    let printed = format!("{:?}", Document::parse(b"<xml><UserCardCode>0123</UserCardCode></xml>").unwrap());
    assert!(printed.contains("UserCardCode") && !printed.contains("0123"));
}
