//! The cipher against Tencent's own vector, against itself, and against damaged ciphertexts.

use proptest::prelude::*;

use super::*;

/// Tencent's sample key; its last character has surplus bits set.
const KEY_TEXT: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const RANDOM_BYTES: &[u8; 16] = b"0123456789abcdef";

fn key() -> AesKey {
    AesKey::parse(KEY_TEXT).unwrap()
}

fn app_id() -> AppId {
    AppId::new("wx00000000000000aa")
}

/// Encrypts bytes as they are: no length, no AppID, no padding added.
fn encrypt_raw(plain: &[u8]) -> String {
    let cipher = cbc::Encryptor::<aes::Aes256>::new(key().0.expose_secret().into(), &key().iv().into());
    let mut buffer = plain.to_vec();
    LENIENT.encode(cipher.encrypt_padded::<NoPadding>(&mut buffer, plain.len()).unwrap())
}

/// A plaintext of the wire's form with this length field and padding bytes.
fn plain(length: u32, message: &[u8], padding: &[u8]) -> Vec<u8> {
    [RANDOM_BYTES.as_slice(), &length.to_be_bytes(), message, app_id().as_str().as_bytes(), padding].concat()
}

#[test]
fn the_official_vector_with_a_padding_of_nineteen_is_read() {
    // The worked example of WeChat's encryption guide: 237 bytes and 19 of padding.
    let encrypted = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=";
    let key = AesKey::parse(&"A".repeat(43)).unwrap();
    let app_id = AppId::new("wxba5fad812f8e6fb9");
    let message = open(&key, &app_id, encrypted).unwrap();
    assert!(message.starts_with(b"{\"ToUserName\":") && message.ends_with(b"\"debug_str\":\"hello world\"}"));
    assert_eq!((RANDOM + LENGTH + message.len() + app_id.as_str().len()) % PADDING_BLOCK, PADDING_BLOCK - 19);
    assert_eq!(seal(&key, &app_id, b"a8eedb185eb2fecf", &message), encrypted);
}

#[test]
fn a_key_may_end_in_any_character_and_the_surplus_bits_do_not_count() {
    for last in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']) {
        let encoded = format!("{}{last}", &KEY_TEXT[..42]);
        assert!(AesKey::parse(&encoded).is_ok(), "{last}");
    }
    let canonical = AesKey::parse(&format!("{}A", &KEY_TEXT[..42])).unwrap();
    assert_eq!(canonical, key());
}

#[test]
fn white_space_around_a_key_is_trimmed() {
    assert_eq!(AesKey::parse(&format!(" {KEY_TEXT}\r\n")).unwrap(), key());
}

#[test]
fn what_is_not_forty_three_characters_of_base64_is_no_key() {
    let refused = |text: &str| AesKey::parse(text).map(|_| ()).unwrap_err();
    assert_eq!(refused(""), KeyError::Length(0));
    assert_eq!(refused(&KEY_TEXT[..42]), KeyError::Length(42));
    assert_eq!(refused(&format!("{KEY_TEXT}=")), KeyError::Length(44));
    for odd in ['-', '_', '=', ' ', '\0', '钥'] {
        assert_eq!(refused(&format!("{}{odd}{}", &KEY_TEXT[..20], &KEY_TEXT[21..])), KeyError::Alphabet, "{odd}");
        if odd != ' ' {
            assert_eq!(refused(&format!("{}{odd}", &KEY_TEXT[..42])), KeyError::Alphabet, "{odd} at the end");
        }
    }
}

#[test]
fn a_key_does_not_print() {
    assert_eq!(format!("{:?}", key()), "[redacted]");
}

#[test]
fn every_length_up_to_three_hundred_comes_back() {
    let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
    for length in 0..=bytes.len() {
        let message = &bytes[..length];
        let sealed = seal(&key(), &app_id(), RANDOM_BYTES, message);
        assert_eq!(open(&key(), &app_id(), &sealed).as_deref(), Ok(message), "{length}");
    }
}

#[test]
fn white_space_missing_padding_and_surplus_bits_in_the_base64_are_read_past() {
    let sealed = (0..3).map(|length| seal(&key(), &app_id(), RANDOM_BYTES, &vec![b'x'; 32 * length]));
    for (length, sealed) in sealed.enumerate() {
        let message = vec![b'x'; 32 * length];
        let spaced = format!(" {}\r\n\t{} \n", &sealed[..10], &sealed[10..]);
        assert_eq!(open(&key(), &app_id(), &spaced).as_ref(), Ok(&message));
        assert_eq!(open(&key(), &app_id(), sealed.trim_end_matches('=')).as_ref(), Ok(&message));
    }
}

#[test]
fn every_padding_from_one_to_thirty_two_is_stripped_and_no_other() {
    let frame = RANDOM + LENGTH + app_id().as_str().len();
    for padding in 1..=64_u8 {
        let message = vec![b'm'; (128 - frame - usize::from(padding)) % 128];
        let plain = plain(u32::try_from(message.len()).unwrap(), &message, &vec![padding; padding.into()]);
        let expected = if padding <= 32 { Ok(message) } else { Err(OpenError::Decrypt) };
        assert_eq!(open(&key(), &app_id(), &encrypt_raw(&plain)), expected, "{padding}");
    }
}

#[test]
fn a_padding_that_is_not_all_alike_is_refused() {
    let frame = RANDOM + LENGTH + app_id().as_str().len();
    let message = vec![b'm'; 64 - 20 - frame];
    let length = u32::try_from(message.len()).unwrap();
    let mut padding = [20; 20];
    assert_eq!(open(&key(), &app_id(), &encrypt_raw(&plain(length, &message, &padding))), Ok(message.clone()));
    for at in 0..20 {
        padding = [20; 20];
        padding[at] = 0;
        let encrypted = encrypt_raw(&plain(length, &message, &padding));
        assert_eq!(open(&key(), &app_id(), &encrypted), Err(OpenError::Decrypt), "{at}");
    }
}

#[test]
fn a_length_that_points_past_the_end_is_refused_and_one_that_moves_the_appid_is_another_appid() {
    let open_with = |length: u32| {
        let frame = RANDOM + LENGTH + app_id().as_str().len();
        open(&key(), &app_id(), &encrypt_raw(&plain(length, &[b'm'; 10], &vec![16; 64 - 10 - frame])))
    };
    assert_eq!(app_id().as_str().len(), 18);
    assert_eq!(open_with(10), Ok(vec![b'm'; 10]));
    let no_app_id = Err(OpenError::AppId { found: None, expected: AppIdText::of(app_id().as_str().as_bytes()) });
    assert_eq!(open_with(11), no_app_id);
    assert_eq!(open_with(9), no_app_id, "a part of the message is not shown");
    assert_eq!(open_with(28), no_app_id, "an empty AppID is another one");
    for length in [29, 1000, u32::MAX] {
        assert_eq!(open_with(length), Err(OpenError::Decrypt), "{length}");
    }
}

#[test]
fn another_appid_is_named_only_when_all_else_is_right() {
    let other = AppId::new("wx00000000000000bb");
    let sealed = seal(&key(), &other, RANDOM_BYTES, b"<xml/>");
    assert_eq!(
        open(&key(), &app_id(), &sealed),
        Err(OpenError::AppId {
            found: AppIdText::of(other.as_str().as_bytes()),
            expected: AppIdText::of(app_id().as_str().as_bytes())
        })
    );
    assert_eq!(open(&AesKey::parse(&"A".repeat(43)).unwrap(), &app_id(), &sealed), Err(OpenError::Decrypt));
}

#[test]
fn what_is_too_short_or_no_multiple_of_thirty_two_is_refused() {
    // Nothing, 16 bytes, 48 bytes with right padding, and 32 bytes that are all padding.
    let short_tail = [RANDOM_BYTES.as_slice(), &0_u32.to_be_bytes(), app_id().as_str().as_bytes(), &[10; 10]].concat();
    assert_eq!(short_tail.len(), 48);
    for plain in [vec![], vec![16; 16], short_tail, vec![32; 32]] {
        assert_eq!(open(&key(), &app_id(), &encrypt_raw(&plain)), Err(OpenError::Decrypt), "{}", plain.len());
    }
    for text in ["", "=", "====", "A", "!", "卡", "AAAA", "\0"] {
        assert_eq!(open(&key(), &app_id(), text), Err(OpenError::Decrypt), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens(message in prop::collection::vec(any::<u8>(), 0..5000), random: [u8; 16], name in "\\PC{0,40}") {
        let app_id = AppId::new(name);
        let sealed = seal(&key(), &app_id, &random, &message);
        prop_assert_eq!(open(&key(), &app_id, &sealed), Ok(message));
    }

    #[test]
    fn no_text_and_no_ciphertext_panics(text in "\\PC*", base64 in "[A-Za-z0-9+/]{0,200}={0,3}", plain in prop::collection::vec(any::<u8>(), 1..8)) {
        let _ = open(&key(), &app_id(), &text);
        let _ = open(&key(), &app_id(), &base64);
        // A plaintext of any content, so that the checks behind the decryption are reached.
        let blocks: Vec<u8> = plain.iter().copied().cycle().take(64).collect();
        let _ = open(&key(), &app_id(), &encrypt_raw(&blocks));
        let _ = AesKey::parse(&text);
    }

    #[test]
    fn a_flipped_bit_never_opens_as_something_else(at in 0_usize..128, bit in 0_u8..8) {
        let message = [b'm'; 60];
        let sealed = seal(&key(), &app_id(), RANDOM_BYTES, &message);
        let mut bytes = LENIENT.decode(&sealed).unwrap();
        let index = at % bytes.len();
        bytes[index] ^= 1 << bit;
        // Without a signature CBC only shows what hits the frame: no panic, and the length stays as said.
        if let Ok(opened) = open(&key(), &app_id(), &LENIENT.encode(&bytes)) {
            prop_assert_eq!(opened.len(), message.len());
        }
    }
}
