//! The rules of contract §1.2 about text, and what may stand around it.

mod odd;
mod refused;
mod scan;

use proptest::prelude::*;

use super::*;

fn children(xml: &str) -> Vec<(String, Result<String, String>)> {
    read(Document::parse(xml.as_bytes()).unwrap_or_else(|error| panic!("{error}: {xml}")))
}

fn read(document: Document<'_>) -> Vec<(String, Result<String, String>)> {
    let pairs = document.children.into_iter().map(|child| {
        let value = match child.value {
            Value::Text(text) => Ok(text.into_owned()),
            Value::Elements(inner) => Err(inner.into_owned()),
        };
        (child.tag.into_owned(), value)
    });
    pairs.collect()
}

/// The text of the only child.
fn text(content: &str) -> String {
    let mut children = children(&format!("<xml><A>{content}</A></xml>"));
    assert_eq!(children.len(), 1, "{content}");
    children.remove(0).1.unwrap()
}

#[test]
fn the_children_of_the_root_are_read_in_order_repeats_included() {
    let read = children("<xml><B>1</B>\n<A><![CDATA[2]]></A>\n<B>3</B>\n<C/><D></D></xml>");
    let expected = [("B", "1"), ("A", "2"), ("B", "3"), ("C", ""), ("D", "")];
    assert_eq!(read, expected.map(|(tag, text)| (tag.to_owned(), Ok(text.to_owned()))));
}

#[test]
fn a_root_without_children_is_a_document() {
    for xml in ["<xml/>", "<xml></xml>", "<xml> text <!-- c --></xml>", "<other />"] {
        assert_eq!(children(xml), []);
    }
}

#[test]
fn a_tag_is_found_without_regard_to_ascii_case() {
    let document = Document::parse(b"<xml><OpenId>1</OpenId><openid>2</openid></xml>").unwrap();
    assert_eq!(document.first("OPENID").unwrap().tag, "OpenId");
    assert_eq!(document.first("open"), None);
}

#[test]
fn plain_text_and_sections_are_borrowed_from_the_input() {
    let document = Document::parse(b"<xml><A> a </A><B> <![CDATA[b]]>\n</B><C><D/></C></xml>").unwrap();
    for child in &document.children {
        let (Value::Text(value) | Value::Elements(value)) = &child.value;
        assert!(matches!(value, Cow::Borrowed(_)) && matches!(child.tag, Cow::Borrowed(_)), "{child:?}");
    }
}

#[test]
fn blanks_around_text_and_around_a_section_are_trimmed_and_those_inside_a_section_stay() {
    assert_eq!(text(" \t\r\n a b \t\r\n "), "a b");
    assert_eq!(text(" \n<![CDATA[ a ]]>\t "), " a ");
    assert_eq!(text("<![CDATA[\n\t ]]>"), "\n\t ");
    assert_eq!(text(" \n "), "");
    assert_eq!(text("<![CDATA[]]>"), "");
    assert_eq!(text(" <![CDATA[]]> "), "");
}

#[test]
fn only_the_four_blanks_of_xml_are_trimmed() {
    assert_eq!(text("\u{A0}a\u{3000}"), "\u{A0}a\u{3000}");
}

#[test]
fn text_and_sections_beside_each_other_are_joined_with_the_blanks_between_them() {
    assert_eq!(text(" a <![CDATA[ b ]]> c "), "a  b  c");
    assert_eq!(text("<![CDATA[a]]> \n <![CDATA[b]]>"), "a \n b");
    assert_eq!(text("<![CDATA[a]]]]><![CDATA[>b]]>"), "a]]>b");
    assert_eq!(text("a<!-- c -->b"), "ab");
    assert_eq!(text(" <!-- c --> a <!-- c --> "), "a");
    assert_eq!(text(" <![CDATA[]]> a"), "a");
}

#[test]
fn a_section_holds_markup_and_references_as_they_are() {
    assert_eq!(text("<![CDATA[<b>&amp;&x;</b>]]>"), "<b>&amp;&x;</b>");
}

#[test]
fn line_ends_are_line_feeds_in_text_and_in_sections() {
    assert_eq!(text("a\r\nb\rc\r\r\nd"), "a\nb\nc\n\nd");
    assert_eq!(text("<![CDATA[\r\na\r]]>"), "\na\n");
}

#[test]
fn the_five_references_and_numeric_ones_are_resolved() {
    assert_eq!(text("&lt;&gt;&amp;&apos;&quot;"), "<>&'\"");
    assert_eq!(text("&#20248;&#x60E0;&#x5238;"), "优惠券");
    assert_eq!(text("a &#38; b &#x1F600; &#0000065;"), "a & b \u{1F600} A");
    assert_eq!(text("&amp;lt;"), "&lt;", "resolved once");
    assert_eq!(text("]]&gt;"), "]]>");
    assert_eq!(text("a&#13;&#10;b"), "a\r\nb", "a referenced CR is no line end");
}

#[test]
fn a_blank_by_reference_is_text_like_any_other_and_trimmed_at_the_ends() {
    assert_eq!(text("&#32;a&#9;b&#10;"), "a\tb");
    assert_eq!(text("&#32;<![CDATA[ a]]>&#32;"), " a");
}

#[test]
fn a_child_with_elements_is_its_inner_xml_as_received() {
    let inner = "<T><![CDATA[ a\r\n ]]></T>\r\n  text &lt; <U x='1'/><!-- c -->";
    let read = children(&format!("<xml><I>\r\n {inner} \n</I><J><K/></J><L><A><L>1</L></A></L></xml>"));
    let expected = [("I", inner), ("J", "<K/>"), ("L", "<A><L>1</L></A>")];
    assert_eq!(read, expected.map(|(tag, inner)| (tag.to_owned(), Err(inner.to_owned()))));
}

#[test]
fn the_inner_xml_is_right_behind_a_bom_and_characters_of_many_bytes() {
    let read = children("\u{FEFF} <xml><名>卡券</名><I> <T>优</T> </I></xml>");
    let expected = [("名", Ok("卡券")), ("I", Err("<T>优</T>"))];
    assert_eq!(read, expected.map(|(tag, value)| (tag.to_owned(), value.map(str::to_owned).map_err(str::to_owned))));
}

#[test]
fn text_comments_and_sections_directly_under_the_root_are_read_past() {
    let read =
        children("<xml>a<E>1</E> // 不通过为card_not_pass_check &amp; <!-- <E>2</E> --><![CDATA[<E>3</E>]]></xml>");
    assert_eq!(read, [("E".to_owned(), Ok("1".to_owned()))]);
}

#[test]
fn a_bom_blanks_a_declaration_and_comments_may_stand_around_the_root() {
    for before in [
        "\u{FEFF}",
        " ",
        "\r\n",
        "\u{FEFF}\n<!-- c -->",
        "<?xml version=\"1.0\"?>",
        "\n<?xml version='1.0' encoding='utf-8'?>\n",
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone = 'yes' ?><!-- c -->",
        "<?xml version=\"1.0\" standalone=\"no\"?>",
        "<?xml version=\"1.0\" encoding=\"UTF8\"?>",
        "<?xml version=\"1.0\" encoding='Utf8' standalone='yes'?>",
    ] {
        for after in ["", "\n", " <!-- c -->\r\n"] {
            assert_eq!(children(&format!("{before}<xml><A>1</A></xml>{after}")).len(), 1, "{before}");
        }
    }
}

#[test]
fn attributes_are_read_past() {
    let read = children(
        "<xml xmlns=\"urn:x\"><A b='>' c = \"/&gt;&#65;\"\n d=''>1</A><B x=\"'\"/><C x=\"1\" x=\"2\"></C ></xml>",
    );
    assert_eq!(read.len(), 3);
    assert_eq!(read[0], ("A".to_owned(), Ok("1".to_owned())));
}

#[test]
fn huge_attributes_and_names_within_the_bound_are_read_past() {
    assert_eq!(children(&format!("<xml a=\"{}\"/>", "x".repeat(65_000))), []);
    let many: Vec<String> = (0..7000).map(|n| format!(" a{n}=\"\"")).collect();
    assert_eq!(children(&format!("<xml{}/>", many.concat())), []);
    let long = "n".repeat(30_000);
    assert_eq!(children(&format!("<xml><{long}></{long}></xml>"))[0].0, long);
}

/// Pieces of markup in any order: many are documents nearly, some wholly.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<xml>",
        "</xml>",
        "<A>",
        "</A>",
        "<B x='1'>",
        "</B>",
        "<C/>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?xml version='1.0'?>",
        "<?",
        "?>",
        "<!DOCTYPE",
        "&lt;",
        "&#65;",
        "&",
        ";",
        "'",
        "\"",
        "<",
        ">",
        "/",
        " ",
        "\r\n",
        "\u{FEFF}",
        "卡",
        "text",
        "]",
        "!",
        "=",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC*", pieces in pieces()) {
        let _ = Document::parse(&bytes);
        let _ = Document::parse(text.as_bytes());
        let _ = Document::parse(pieces.as_bytes());
        let _ = Document::parse(format!("<xml><A>{pieces}</A></xml>").as_bytes());
    }

    #[test]
    fn any_text_comes_back_from_a_section(value in "[^\\r\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\u{FFFE}\u{FFFF}]{0,60}") {
        let section = value.replace("]]>", "]]]]><![CDATA[>");
        prop_assert_eq!(text(&format!(" <![CDATA[{section}]]>\n")), value);
    }

    #[test]
    fn any_escaped_text_comes_back_trimmed(value in "[^\\r\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\u{FFFE}\u{FFFF}]{0,60}") {
        let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        prop_assert_eq!(text(&escaped), value.trim_matches([' ', '\t', '\r', '\n']));
        let numbered: Vec<String> = value.chars().map(|c| format!("&#{};", u32::from(c))).collect();
        prop_assert_eq!(text(&numbered.concat()), value.trim_matches([' ', '\t', '\r', '\n']));
    }
}
