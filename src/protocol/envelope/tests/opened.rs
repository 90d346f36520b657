//! What a verified body is read as, and what of it is quarantined.

use super::*;
use crate::protocol::MAX_BYTES;

#[test]
fn clear_fields_that_are_to_be_read_and_are_not_there_are_quarantined_as_decrypt() {
    let body = secure_body("gh_shop", &sealed_with("b"));
    let sealed = "<xml><tousername>gh_shop</tousername><ENCRYPT/></xml>";
    for (mode, body, error) in [
        (Mode::Compat, body.as_str(), OpenError::NothingToRead),
        (Mode::Compat, sealed, OpenError::NothingToRead),
        (Mode::Compat, "<xml/>", OpenError::NothingToRead),
        (Mode::Plaintext, body.as_str(), OpenError::EncryptedPush),
        (Mode::Plaintext, sealed, OpenError::EncryptedPush),
        (Mode::Plaintext, "<xml/>", OpenError::NothingToRead),
    ] {
        let opened = read(&query(Some(&signature("now")), None), body, &credentials(mode));
        assert_eq!(opened, Err(error), "{mode:?} {body}");
        assert_eq!(error.reason(), "decrypt");
        assert!(!error.to_string().contains("current or previous EncodingAESKey"), "no key is to blame: {error}");
    }
}

#[test]
fn what_was_opened_is_the_document_that_its_xml_reads_as() {
    let encrypt = sealed_with("b");
    let sealed = (query(None, Some(&msg_signature("now", &encrypt))), secure_body("gh_shop", &encrypt), INNER);
    let clear = (query(Some(&signature("now")), None), CLEAR.to_owned(), CLEAR);
    for (query, body, xml) in [sealed, clear] {
        let message =
            verify(&query, &body, &credentials(Mode::Compat)).unwrap().open(&credentials(Mode::Compat)).unwrap();
        assert_eq!(message.xml(), xml.as_bytes());
        assert_eq!(*message.document().unwrap(), Document::parse(xml.as_bytes()).unwrap());
    }
}

#[test]
fn a_verified_body_that_cannot_be_read_is_quarantined_as_malformed() {
    let large = format!("<xml><A>{}</A></xml>", "a".repeat(MAX_BYTES));
    for mode in [Mode::Compat, Mode::Plaintext] {
        for body in ["{\"ToUserName\":\"gh_shop\"}", "", "<xml>", &large] {
            for msg_signature in [None, Some("wrong")] {
                let error = read(&query(Some(&signature("now")), msg_signature), body, &credentials(mode)).unwrap_err();
                assert_eq!(error.reason(), "malformed");
            }
        }
    }
}

#[test]
fn what_msg_signature_covers_and_cannot_be_opened_is_quarantined() {
    for mode in [Mode::Secure, Mode::Compat] {
        let reason = |encrypt: &str, credentials: &Credentials| {
            let query = query(None, Some(&msg_signature("now", encrypt)));
            read(&query, &secure_body("gh_shop", encrypt), credentials).unwrap_err().reason()
        };
        let account = credentials(mode);
        assert_eq!(reason("no base64!", &account), "decrypt");
        assert_eq!(reason("", &account), "decrypt");
        assert_eq!(reason(&sealed_with("c"), &account), "decrypt");
        let other = seal(&key("b"), &AppId::new("wx00000000000000bb"), RANDOM, INNER.as_bytes());
        assert_eq!(reason(&other, &account), "app_id");
        let keyless = Credentials { aes_key: None, ..account.clone() };
        assert_eq!(reason(&sealed_with("b"), &keyless), "decrypt");
        assert_eq!(reason(&sealed_with("b"), &Credentials { app_id: None, ..account }), "decrypt");
    }
}

#[test]
fn encrypt_is_found_in_any_case_and_among_blanks_and_only_under_the_root() {
    let account = credentials(Mode::Secure);
    let encrypt = sealed_with("b");
    let query = query(None, Some(&msg_signature("now", &encrypt)));
    for body in [
        format!("<xml><encrypt>{encrypt}</encrypt></xml>"),
        format!("\u{FEFF}<xml><ENCRYPT> \r\n <![CDATA[{encrypt}]]>\n</ENCRYPT></xml>"),
        format!("<xml><Encrypt><![CDATA[\n{encrypt} ]]></Encrypt><Encrypt>other</Encrypt></xml>"),
    ] {
        assert_eq!(read(&query, &body, &account), Ok((INNER.to_owned(), true)), "{body}");
    }
    for body in [
        format!("<xml><A><Encrypt>{encrypt}</Encrypt></A></xml>"),
        format!("<Encrypt>{encrypt}</Encrypt>"),
        format!("<xml><Encrypt><A/>{encrypt}</Encrypt></xml>"),
        format!("<!DOCTYPE xml><xml><Encrypt>{encrypt}</Encrypt></xml>"),
    ] {
        assert_eq!(refused(&query, &body, &account), VerifyError::Signature, "{body}");
    }
}

#[test]
fn white_space_within_the_base64_is_signed_as_it_stands_and_read_past() {
    let account = credentials(Mode::Secure);
    let encrypt = sealed_with("b");
    let broken = format!("{}\n{}", &encrypt[..64], &encrypt[64..]);
    let body = secure_body("gh_shop", &broken);
    assert_eq!(read(&query(None, Some(&msg_signature("now", &broken))), &body, &account), Ok((INNER.to_owned(), true)));
    assert_eq!(refused(&query(None, Some(&msg_signature("now", &encrypt))), &body, &account), VerifyError::Signature);
}
