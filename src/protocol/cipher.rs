//! AES-256-CBC as WeChat does it: 32-byte PKCS#7, a length field, the AppID behind the message.
//!
//! CBC carries no proof of origin: [`open`] belongs behind a verified `msg_signature`. Does not depend on what the message is.

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretBox};
use zeroize::Zeroizing;

use super::OpenError;

/// A key's 43 characters hold two bits more than its 32 bytes, and WeChat draws them at random (protocol §2.5).
/// Ciphertexts are read as leniently: `msg_signature` covers their exact text, so nothing is gained by refusing one here.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const ENCODED_KEY: usize = 43;
const KEY: usize = 32;
const IV: usize = 16;
/// WeChat pads to 32, AES's own block is 16.
const PADDING_BLOCK: usize = 32;
const RANDOM: usize = 16;
const LENGTH: usize = 4;

/// The account's AppID (`wx…`): what must stand behind every decrypted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppId(String);

impl AppId {
    /// Takes an AppID as configured.
    #[must_use]
    pub fn new(app_id: impl Into<String>) -> Self {
        Self(app_id.into())
    }

    /// The AppID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text of an AppID's form: `wx` and 16 lower-case hexadecimal digits. It is no secret, and may stand in an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AppIdText([u8; 18]);

impl AppIdText {
    /// `None` for what has another form.
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        let text: [u8; 18] = text.try_into().ok()?;
        let (start, digits) = text.split_first_chunk::<2>()?;
        let legal = start == b"wx" && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        legal.then_some(Self(text))
    }
}

impl std::fmt::Display for AppIdText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

impl std::fmt::Debug for AppIdText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A decoded EncodingAESKey: 32 bytes; its first 16 are the IV. Prints as `[redacted]`, zeroed on drop.
pub struct AesKey(SecretBox<[u8; KEY]>);

/// Why a text is no EncodingAESKey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 43 characters.
    #[error("an EncodingAESKey has 43 characters, this has {0}")]
    Length(usize),
    /// A character outside base64's alphabet.
    #[error("an EncodingAESKey has only letters, digits, + and /")]
    Alphabet,
}

impl AesKey {
    /// Reads the 43 characters of the console, surrounding white space trimmed; the two surplus bits may be anything (protocol §2.5).
    ///
    /// # Errors
    /// When it is not 43 characters of base64.
    pub fn parse(encoded: &str) -> Result<Self, KeyError> {
        let encoded = encoded.trim();
        let length = encoded.chars().count();
        if length != ENCODED_KEY {
            return Err(KeyError::Length(length));
        }
        // The decoder wants room for whole groups of three bytes.
        let mut decoded = Zeroizing::new([0; KEY + 1]);
        let bytes = LENIENT.decode_slice(encoded, decoded.as_mut_slice()).map_err(|_| KeyError::Alphabet)?;
        // An `=` in the last place leaves fewer.
        let key = decoded.first_chunk().filter(|_| bytes == KEY).ok_or(KeyError::Alphabet)?;
        Ok(Self(SecretBox::new(Box::new(*key))))
    }

    fn iv(&self) -> [u8; IV] {
        self.0.expose_secret().first_chunk().copied().unwrap_or_default()
    }
}

impl Clone for AesKey {
    fn clone(&self) -> Self {
        Self(SecretBox::new(Box::new(*self.0.expose_secret())))
    }
}

impl PartialEq for AesKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for AesKey {}

impl std::fmt::Debug for AesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Encrypts as WeChat does: base64 of AES(random ‖ length ‖ message ‖ AppID, padded to 32).
#[must_use]
pub fn seal(key: &AesKey, app_id: &AppId, random: &[u8; 16], message: &[u8]) -> String {
    // The field cannot say more than 4 GiB, and no push comes near it.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut plain = [random.as_slice(), &length, message, app_id.as_str().as_bytes()].concat();
    let padding = PADDING_BLOCK - plain.len() % PADDING_BLOCK;
    plain.extend(std::iter::repeat_n(u8::try_from(padding).unwrap_or_default(), padding));
    let cipher = cbc::Encryptor::<aes::Aes256>::new(key.0.expose_secret().into(), &key.iv().into());
    let whole = plain.len();
    // Only an incomplete block could be refused, and there is none.
    cipher.encrypt_padded::<NoPadding>(&mut plain, whole).map(|sealed| LENIENT.encode(sealed)).unwrap_or_default()
}

/// Decrypts what [`seal`] and WeChat encrypt: the message alone. ASCII white space within the base64 is read past.
///
/// # Errors
/// [`OpenError::AppId`] when only the AppID behind the message is another; [`OpenError::Decrypt`] for everything else,
/// without a word on what: no padding oracle.
pub fn open(key: &AesKey, app_id: &AppId, encrypted: &str) -> Result<Vec<u8>, OpenError> {
    let mut buffer = decode(encrypted).filter(|buffer| buffer.len() % PADDING_BLOCK == 0).ok_or(OpenError::Decrypt)?;
    let cipher = cbc::Decryptor::<aes::Aes256>::new(key.0.expose_secret().into(), &key.iv().into());
    let plain = cipher.decrypt_padded::<NoPadding>(&mut buffer).map_err(|_| OpenError::Decrypt)?;
    let (message, sent_to) = unpadded(plain).and_then(split).ok_or(OpenError::Decrypt)?;
    if sent_to != app_id.as_str().as_bytes() {
        let (found, expected) = (AppIdText::of(sent_to), AppIdText::of(app_id.as_str().as_bytes()));
        return Err(OpenError::AppId { found, expected });
    }
    let length = message.len();
    buffer.drain(..RANDOM + LENGTH);
    buffer.truncate(length);
    Ok(buffer)
}

fn decode(encrypted: &str) -> Option<Vec<u8>> {
    LENIENT.decode(encrypted).ok().or_else(|| {
        // Seldom: white space is looked for only where something is not base64.
        let solid: Vec<u8> = encrypted.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        LENIENT.decode(solid).ok()
    })
}

/// Takes the padding off, when it is 1 to 32 bytes that all say how many they are.
fn unpadded(plain: &[u8]) -> Option<&[u8]> {
    let last = *plain.last()?;
    let padding = usize::from(last);
    let (content, pad) = plain.split_at_checked(plain.len().checked_sub(padding)?)?;
    ((1..=PADDING_BLOCK).contains(&padding) && pad.iter().all(|&byte| byte == last)).then_some(content)
}

/// Message and AppID behind the random bytes and the length field.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = content.get(RANDOM..)?.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests;
