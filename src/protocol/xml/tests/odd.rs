//! Odd text is repaired in character data, and nowhere else: contract §1.2.

use super::*;

/// The children, and that they were repaired.
fn repaired(xml: impl AsRef<[u8]>) -> Vec<(String, Result<String, String>)> {
    let xml = xml.as_ref();
    let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(xml)));
    assert!(document.text_repaired, "{}", String::from_utf8_lossy(xml));
    read(document)
}

/// The only child's text, repaired.
fn repaired_text(content: impl AsRef<[u8]>) -> String {
    let mut children = repaired([b"<xml><A>", content.as_ref(), b"</A></xml>"].concat());
    assert_eq!(children.len(), 1);
    children.remove(0).1.unwrap()
}

fn repaired_inner(content: &str) -> String {
    repaired(format!("<xml><A>{content}</A></xml>")).remove(0).1.unwrap_err()
}

#[test]
fn clean_text_is_not_repaired() {
    for xml in ["<xml><A>\u{FFFD}卡券&#xFFFD;&amp;</A></xml>", "\u{FEFF}<xml><A><![CDATA[&#0;]]></A></xml>"] {
        assert!(!Document::parse(xml.as_bytes()).unwrap().text_repaired, "{xml}");
    }
}

#[test]
fn each_maximal_part_of_a_broken_sequence_is_one_replacement_character() {
    for (bytes, expected) in [
        (b"ab\xE5\x8D".as_slice(), "ab\u{FFFD}"),
        (b"\xE5\x8Dab", "\u{FFFD}ab"),
        (b"\xE5\x8D\xA1\xE5", "卡\u{FFFD}"),
        (b"\xF0\x9F\x98", "\u{FFFD}"),
        (b"\xFF\xFE", "\u{FFFD}\u{FFFD}"),
        (b"\x80", "\u{FFFD}"),
        (b"\xC0\xAF", "\u{FFFD}\u{FFFD}"),
        (b"\xED\xA0\xBD", "\u{FFFD}\u{FFFD}\u{FFFD}"),
    ] {
        assert_eq!(repaired_text(bytes), expected, "{bytes:x?}");
        assert_eq!(repaired_text([b"<![CDATA[", bytes, b"]]>"].concat()), expected, "{bytes:x?}");
        assert_eq!(String::from_utf8_lossy(bytes), expected);
    }
}

#[test]
fn characters_that_xml_forbids_are_read_as_the_replacement_character() {
    for odd in ['\0', '\u{1}', '\u{B}', '\u{1D}', '\u{1F}', '\u{FFFE}', '\u{FFFF}'] {
        assert_eq!(repaired_text(format!("a{odd}b")), "a\u{FFFD}b");
        assert_eq!(repaired_text(format!(" <![CDATA[{odd} ]]> ")), "\u{FFFD} ");
        let number = u32::from(odd);
        assert_eq!(repaired_text(format!("a&#{number};b&#x{number:x};")), "a\u{FFFD}b\u{FFFD}");
    }
    assert_eq!(repaired_text("&#x110000;&#99999999999999999999;"), "\u{FFFD}\u{FFFD}");
}

#[test]
fn two_references_that_are_a_surrogate_pair_are_their_character_and_one_alone_is_replaced() {
    assert_eq!(repaired_text("a&#55357;&#56838;b"), "a\u{1F606}b");
    assert_eq!(repaired_text("&#xD83D;&#xDE06;&#xd83d;&#56838;"), "\u{1F606}\u{1F606}");
    assert_eq!(repaired_text("&#55357;"), "\u{FFFD}");
    assert_eq!(repaired_text("&#56838;"), "\u{FFFD}");
    assert_eq!(repaired_text("&#56838;&#55357;"), "\u{FFFD}\u{FFFD}");
    assert_eq!(repaired_text("&#55357;&#55357;&#56838;"), "\u{FFFD}\u{1F606}");
    assert_eq!(repaired_text("&#55357; &#56838;"), "\u{FFFD} \u{FFFD}");
    assert_eq!(repaired_text("&#55357;<!-- c -->&#56838;"), "\u{FFFD}\u{FFFD}");
    assert_eq!(repaired_text("&#55357;&#65;"), "\u{FFFD}A");
    assert_eq!(repaired_text("&#55357;&lt;"), "\u{FFFD}<");
}

#[test]
fn a_reference_that_xml_does_not_know_is_its_own_text() {
    for own in
        ["&nbsp;", "&x;", "&LT;", "&#;", "&#x;", "&#+65;", "&#-65;", "&#x+41;", "&#X41;", "&# 65;", "&;", "& lt;"]
    {
        assert_eq!(repaired_text(own), own);
        assert_eq!(repaired_text(format!(" a {own} &amp; ")), format!("a {own} &"));
    }
}

#[test]
fn a_child_with_elements_is_repaired_within_and_otherwise_as_received() {
    assert_eq!(repaired_inner(" <T>&#0;</T>&#55357;&#56838; &lt;&nbsp; "), "<T>\u{FFFD}</T>\u{1F606} &lt;&nbsp;");
    assert_eq!(repaired_inner("&#0;<T>\u{1}</T>"), "\u{FFFD}<T>\u{FFFD}</T>");
    assert_eq!(repaired_inner("<T><![CDATA[&#0;\u{1}]]></T>"), "<T><![CDATA[&#0;\u{FFFD}]]></T>");
}

#[test]
fn odd_text_that_is_read_past_refuses_nothing() {
    for xml in
        ["<xml>&nbsp;\u{1}<A>1</A></xml>", "<xml><!-- \u{1} --><A>1</A></xml>", "<!--\u{1}--><xml><A>1</A></xml>"]
    {
        assert_eq!(repaired(xml), [("A".to_owned(), Ok("1".to_owned()))], "{xml}");
    }
}

#[test]
fn odd_characters_in_a_tag_are_refused() {
    for xml in [
        b"<xml><A\xFF>1</A\xFF></xml>".as_slice(),
        b"<xml><\x01A>1</\x01A></xml>",
        b"<xml a='\xFF'/>",
        b"<xml><A b=\"\x01\"/></xml>",
        b"<?xml version='1.0' encoding='UTF-8\xFF'?><xml/>",
    ] {
        let error = Document::parse(xml).unwrap_err();
        assert!(matches!(error, XmlError::Character { .. }), "{error}: {}", String::from_utf8_lossy(xml));
    }
    let tag = Document::parse("<xml><\u{FFFD}>\u{1}</\u{FFFD}></xml>".as_bytes()).unwrap();
    assert_eq!(tag.children[0].tag, "\u{FFFD}", "as received, and no repair");
}

#[test]
fn odd_characters_do_not_make_markup_of_what_is_none() {
    for xml in [
        "\u{1}<xml/>",
        "<xml/>\u{1}",
        "<xml>\u{1}",
        "<xml><A>\u{1}</B></xml>",
        "<xml><A>\u{1} & </A></xml>",
        "<xml><A>&a]]>b;</A></xml>",
    ] {
        let error = Document::parse(xml.as_bytes()).unwrap_err();
        assert!(matches!(error, XmlError::NotWellFormed { .. }), "{error}: {xml}");
    }
    let doctype = Document::parse(b"<!DOCTYPE xml><xml>\xFF</xml>").unwrap_err();
    assert_eq!(doctype, XmlError::Doctype);
}

proptest! {
    #[test]
    fn any_bytes_in_a_section_read_as_the_standard_library_repairs_them(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let lossy = String::from_utf8_lossy(&bytes).into_owned();
        prop_assume!(!lossy.contains("]]>") && !lossy.contains('\r'));
        let document = [b"<xml><A><![CDATA[".as_slice(), &bytes, b"]]></A></xml>"].concat();
        let expected = lossy.replace(|odd: char| odd < ' ' && !"\t\n".contains(odd), "\u{FFFD}").replace(['\u{FFFE}', '\u{FFFF}'], "\u{FFFD}");
        let read = read(Document::parse(&document).unwrap());
        prop_assert_eq!(&read, &[("A".to_owned(), Ok(expected))]);
    }
}
