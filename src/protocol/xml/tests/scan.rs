//! Where each piece ends, and what is cut.

use super::super::scan::{Broken, Piece, Scanner};

fn pieces(source: &str) -> Vec<Result<Piece<'_>, Broken>> {
    let mut scanner = Scanner::new(source);
    let mut pieces = Vec::new();
    loop {
        match scanner.next() {
            Ok(Some(piece)) => pieces.push(Ok(piece)),
            Ok(None) => break,
            Err(broken) => {
                pieces.push(Err(broken));
                break;
            }
        }
    }
    pieces
}

#[test]
fn a_document_is_cut_into_its_pieces() {
    let source =
        "<?xml version='1.0'?>\n<xml a='>' b=\"/>\"><!-- <A> - --><A\t/>卡 &lt;&;& b<![CDATA[<b>]]]>]></xml \n><?pi?>";
    let expected = [
        Piece::Declaration(" version='1.0'"),
        Piece::Text("\n"),
        Piece::Start { name: "xml", attributes: " a='>' b=\"/>\"", empty: false },
        Piece::Comment(" <A> - "),
        Piece::Start { name: "A", attributes: "\t", empty: true },
        Piece::Text("卡 "),
        Piece::Reference("lt"),
        Piece::Reference(""),
        Piece::Ampersand,
        Piece::Text(" b"),
        Piece::Section("<b>]"),
        Piece::Text("]>"),
        Piece::End { name: "xml" },
        Piece::Instruction,
    ];
    // The section ends at the first `]]>`.
    assert_eq!(pieces(source), expected.map(Ok));
}

#[test]
fn what_ends_within_a_piece_is_cut_and_what_begins_none_is_no_xml() {
    let cut = [
        "<",
        "<A",
        "<A b='>",
        "<A b='\">",
        "</",
        "</A",
        "<!",
        "<!-",
        "<!-->",
        "<!--->",
        "<![CDATA[]>",
        "<!DOCTYP",
        "<?",
        "<?>",
    ];
    for source in cut {
        assert_eq!(pieces(source), [Err(Broken::Cut)], "{source}");
    }
    for source in ["<!A>", "<![CDATA <", "<!- -", "<! DOCTYPE"] {
        assert_eq!(pieces(source), [Err(Broken::NotXml)], "{source}");
    }
    assert_eq!(pieces("<!doctype x"), [Ok(Piece::Doctype), Ok(Piece::Text(" x"))]);
}

#[test]
fn the_pieces_of_a_document_make_the_document_again() {
    let source = "<xml>\r\n<A x = '1' >a&amp;b</A><!----><B/>]]&#x5238;<![CDATA[]]></xml>";
    let mut scanner = Scanner::new(source);
    let mut joined = String::new();
    loop {
        let from = scanner.position();
        match scanner.next() {
            Ok(Some(_)) => joined.push_str(&source[from..scanner.position()]),
            end => break assert_eq!(end, Ok(None)),
        }
    }
    assert_eq!(joined, source);
}
