//! Decryption: what is sealed opens and nothing else does; broken plaintexts are told apart as a slow reading does.

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::NoPadding};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use cardhook::protocol::{AppId, AppIdText, OpenError, open, seal};

use super::push::SECRETS;

/// The bytes of the account's key: 43 times `K` in base64.
const KEY: [u8; 32] = *b"\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2\x8a\x28\xa2";

/// The first byte says what the rest is: a ciphertext, a message, or the plaintext below the cipher.
pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => ciphertext(rest),
        1 => message(rest),
        _ => plaintext(rest),
    }
}

fn ciphertext(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let opened = open(&SECRETS.key, &SECRETS.app_id, text);
    let folded: String = text.chars().flat_map(|character| [character, '\n']).collect();
    assert_eq!(open(&SECRETS.key, &SECRETS.app_id, &folded), opened, "white space within base64 counts");
}

fn message(data: &[u8]) {
    let (random, message) = data.split_at(data.len().min(16));
    let mut filled = [0; 16];
    filled[..random.len()].copy_from_slice(random);
    let sealed = seal(&SECRETS.key, &SECRETS.app_id, &filled, message);
    assert_eq!(open(&SECRETS.key, &SECRETS.app_id, &sealed).as_deref(), Ok(message));
    assert!(open(&SECRETS.previous_key, &SECRETS.app_id, &sealed).is_err(), "another key opens it");
    let other = AppId::new("wx0000000000000fee");
    let of = |app_id: &AppId| AppIdText::of(app_id.as_str().as_bytes());
    let of_another = OpenError::AppId { found: of(&SECRETS.app_id), expected: of(&other) };
    assert_eq!(open(&SECRETS.key, &other, &sealed), Err(of_another));
}

/// A whole number of blocks is encrypted as it is.
fn plaintext(data: &[u8]) {
    let mut buffer = data[..data.len() / 16 * 16].to_vec();
    let expected = slow(&buffer);
    let (length, iv) = (buffer.len(), KEY.first_chunk::<16>().expect("32 bytes"));
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&KEY.into(), iv.into());
    let sealed = BASE64_STANDARD.encode(cipher.encrypt_padded::<NoPadding>(&mut buffer, length).expect("whole blocks"));
    assert_eq!(open(&SECRETS.key, &SECRETS.app_id, &sealed), expected);
}

/// Random, length, message, AppID, padding to 32: from the end.
fn slow(plain: &[u8]) -> Result<Vec<u8>, OpenError> {
    let padding = plain.last().map_or(0, |last| usize::from(*last));
    let padded = plain.len().is_multiple_of(32) && (1..=32).contains(&padding);
    if !padded || plain.iter().rev().take(padding).any(|byte| usize::from(*byte) != padding) {
        return Err(OpenError::Decrypt);
    }
    let content = &plain[..plain.len() - padding];
    if content.len() < 20 {
        return Err(OpenError::Decrypt);
    }
    let length = content[16..20].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if 20 + length > content.len() {
        return Err(OpenError::Decrypt);
    }
    let expected = SECRETS.app_id.as_str().as_bytes();
    if &content[20 + length..] != expected {
        return Err(OpenError::AppId {
            found: AppIdText::of(&content[20 + length..]),
            expected: AppIdText::of(expected),
        });
    }
    Ok(content[20..20 + length].to_vec())
}
