//! What is printed at the end: the fields of WeChat's page, one by one, and the next commands.

use std::fmt::{self, Write as _};

use super::{Answers, Files, Language, Secrets};

/// The page. Without `secrets` their files stand in for them.
pub(super) fn page(
    answers: &Answers,
    files: &Files,
    secrets: Option<&Secrets>,
    language: Language,
) -> Result<String, fmt::Error> {
    let say = |english, chinese| language.say(english, chinese);
    let Answers { account, mode, public_url, .. } = answers;
    let (config, token, aes_key) = (files.config.display(), files.token.display(), files.aes_key.display());
    let argument = shell_argument(&config.to_string());
    let in_file = |file: &std::path::Display<'_>| match language {
        Language::En => format!("what stands in {file}"),
        Language::Zh => format!("{file} 的内容"),
    };
    let shown_token = secrets.map_or_else(|| in_file(&token), |secrets| secrets.token.clone());
    let shown_key = secrets.map_or_else(|| in_file(&aes_key), |secrets| secrets.aes_key.clone());
    let console_mode = match mode.as_str() {
        "secure" => "安全模式",
        "compat" => "兼容模式",
        _ => "明文模式",
    };
    let mut page = String::new();
    writeln!(page, "{}", say("Written:", "已写入："))?;
    for file in [&config, &token, &aes_key] {
        writeln!(page, "  {file}")?;
    }
    writeln!(page)?;
    writeln!(
        page,
        "{}",
        say(
            "1. Start cardhook, with a TLS proxy before it (WeChat calls ports 80 and 443 only):",
            "1. 启动 cardhook，并在前面放一个终止 TLS 的反向代理（微信只访问 80 和 443 端口）："
        )
    )?;
    if !answers.brokers.is_empty() {
        writeln!(page, "  cardhook topics create --config {argument}")?;
    }
    writeln!(page, "  cardhook check --config {argument} --connect")?;
    writeln!(page, "  cardhook serve --config {argument}")?;
    writeln!(page)?;
    writeln!(
        page,
        "{}",
        say(
            "2. Type this into WeChat's page (消息与事件推送, formerly 服务器配置), then 提交: WeChat calls the URL at once.",
            "2. 在微信的「消息与事件推送」（旧版为「服务器配置」）中填写，然后点「提交」：微信会立即请求一次该地址。"
        )
    )?;
    for (field, value) in [
        ("服务器地址 (URL)", format!("{public_url}/wechat/{account}")),
        ("令牌 (Token)", shown_token),
        ("消息加解密密钥 (EncodingAESKey)", shown_key),
        ("消息加解密方式", console_mode.to_owned()),
        ("数据格式", "XML".to_owned()),
    ] {
        writeln!(page, "  {field}  {value}")?;
    }
    Ok(page)
}

/// A path as it is typed into a shell: in quotes where it holds more than letters, digits and `/._-`.
fn shell_argument(path: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
