//! One `[[account]]`, judged. Does not depend on what a token or a key is used for.
//!
//! As everywhere in this folder a value stands in for what is wrong, so that one error does not hide the next; the
//! error list keeps such a half account from ever leaving.

use std::{path::PathBuf, time::Duration};

use super::{Account, ConfigError, SecretFiles, forward, raw::Value, section::Section, values};
use crate::{
    protocol::{AesKey, AppId, AppIdText, Credentials, Mode, Token},
    wechat_api::AppSecret,
};

const MODES: [(&str, Mode); 3] = [("secure", Mode::Secure), ("compat", Mode::Compat), ("plaintext", Mode::Plaintext)];
const CONSOLE: &str = "copy it from WeChat's console, 设置与开发 → 基本配置";

/// Reads one account.
pub(super) fn read(mut section: Section, errors: &mut Vec<ConfigError>) -> Account {
    let name = section.optional("name", name, "a name is 1 to 32 of a-z, 0-9 and -");
    let name = required(&mut section, "name", name, "give each account a name, such as \"shop\"").unwrap_or_default();
    let path = section.get("path", format!("/wechat/{name}"), path, "write a path such as \"/wechat/shop\"");
    let account_id =
        section.optional("account_id", account_id, "write the account's original id (原始ID, gh_…), as in ToUserName");
    let secret_files = SecretFiles { token: section.file_of("token"), aes_key: section.file_of("aes_key") };
    let mut credentials = credentials(&mut section);
    let least = Duration::from_secs(1)..=*values::ANY_DURATION.end();
    let max_age =
        section.optional("max_age", values::duration(least), "write a whole number with s, m or h, in quotes");
    let other = forward::other(&mut section);
    let upstream = forward::upstream(&mut section, other);
    let app_secret = app_secret(&mut section, &mut credentials);
    let access_token_file = access_token_file(&mut section, app_secret.is_some());
    errors.extend(section.finish());
    Account {
        name,
        path,
        account_id,
        credentials,
        secret_files,
        max_age,
        other,
        upstream,
        app_secret,
        access_token_file,
    }
}

fn credentials(section: &mut Section) -> Credentials {
    let mode = section.get("mode", Mode::Secure, values::one_of(&MODES), "write the mode that WeChat's console shows");
    let app_id = section.optional("app_id", app_id, CONSOLE).map(AppId::new);
    let token = section.secret("token", token, CONSOLE);
    let token = required(section, "token", token, "write the token of WeChat's console as token or token_file");
    let previous_token = section.secret("previous_token", self::token, CONSOLE);
    let aes_key = section.secret("aes_key", aes_key, CONSOLE);
    let previous_aes_key = section.secret("previous_aes_key", self::aes_key, CONSOLE);
    let (app_id, aes_key) = if mode == Mode::Plaintext {
        (app_id, aes_key)
    } else {
        let cure = "compat and secure mode need it; copy it from WeChat's console";
        (required(section, "app_id", app_id, cure), required(section, "aes_key", aes_key, cure))
    };
    // No push verifies against the empty stand-in, and no half account leaves this folder anyway.
    let token = token.unwrap_or_else(|| Token::new(""));
    Credentials { mode, token, previous_token, aes_key, previous_aes_key, app_id }
}

fn app_secret(section: &mut Section, credentials: &mut Credentials) -> Option<AppSecret> {
    let secret = section.secret("app_secret", self::secret, CONSOLE);
    let secret = secret.or_else(|| section.failed("app_secret").then(|| AppSecret::new("")))?;
    // In the other modes there is that error already.
    if credentials.mode == Mode::Plaintext {
        let app_id = credentials.app_id.take();
        credentials.app_id = required(section, "app_id", app_id, "app_secret needs it; copy it from WeChat's console");
    }
    Some(secret)
}

fn access_token_file(section: &mut Section, has_secret: bool) -> Option<PathBuf> {
    let file = section.optional(
        "access_token_file",
        values::text,
        "write the path of the file that your token server keeps",
    )?;
    if has_secret {
        let problem = "stands beside app_secret: both say where access tokens come from";
        section.fail("access_token_file", problem, "keep either app_secret or access_token_file");
    }
    Some(PathBuf::from(file))
}

/// Adds an error where a required key was not written. Where it was written wrongly there is one already.
fn required<T>(section: &mut Section, name: &str, value: Option<T>, cure: &str) -> Option<T> {
    if value.is_none() && !section.failed(name) {
        section.fail(name, "is missing", cure);
    }
    value
}

fn name(value: &Value) -> Result<String, String> {
    let name = values::text(value)?;
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() <= 32 && name.bytes().all(legal) { Ok(name) } else { Err("is no account name".into()) }
}

/// Only characters that no proxy and no router rewrites or gives a meaning.
fn path(value: &Value) -> Result<String, String> {
    let path = values::text(value)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let walks = path.split('/').any(|segment| segment == "." || segment == "..");
    if !path.starts_with('/') {
        Err("does not start with /".into())
    } else if path.contains("//") || walks || !path.bytes().all(legal) {
        Err("holds more than letters, digits, single slashes and - . _ ~".into())
    } else {
        Ok(path)
    }
}

/// An id of WeChat's: its shape is not ours to judge, but a blank in it is a slip.
fn opaque(value: &Value) -> Result<String, String> {
    let id = values::text(value)?;
    if id.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(id)
    } else {
        Err("holds a blank or a character outside ASCII".into())
    }
}

fn app_id(value: &Value) -> Result<String, String> {
    let id = opaque(value)?;
    if AppIdText::of(id.as_bytes()).is_some() {
        Ok(id)
    } else if id.starts_with("gh_") {
        Err("is an original id (原始ID), which belongs in account_id; an AppID is wx and 16 digits or letters a to f"
            .into())
    } else {
        Err("is no AppID: that is wx and 16 digits or letters a to f, in lower case".into())
    }
}

/// An account may have an id of its own choice in place of `gh_…`, but not one of an AppID's form.
fn account_id(value: &Value) -> Result<String, String> {
    let id = opaque(value)?;
    if AppIdText::of(id.to_ascii_lowercase().as_bytes()).is_some() {
        Err("is an AppID, which belongs in app_id".into())
    } else {
        Ok(id)
    }
}

/// WeChat's console accepts no other tokens, so another one is a slip of copying.
fn token(secret: &str) -> Result<Token, String> {
    if (3..=32).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(Token::new(secret))
    } else {
        Err("is not 3 to 32 letters and digits".into())
    }
}

/// Its shape is not ours to judge, but a blank in it is a slip.
fn secret(secret: &str) -> Result<AppSecret, String> {
    if !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(AppSecret::new(secret))
    } else {
        Err("is empty, or holds a blank or a character outside ASCII".into())
    }
}

fn aes_key(secret: &str) -> Result<AesKey, String> {
    AesKey::parse(secret).map_err(|error| format!("is no EncodingAESKey: {error}"))
}
