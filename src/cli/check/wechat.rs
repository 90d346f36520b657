//! WeChat's API, where an account has an AppSecret: is it reached, does it know the account and this machine, and does WeChat
//! reach the server URL?

use crate::{
    config::{Account, Config},
    finding::Findings,
    wechat_api::{Api, ApiError, Caller},
};

/// What of a network's packets may be lost on the way to the server URL.
const LOSS: &str = "0%";

pub(super) async fn look(config: &Config, findings: &mut Findings) {
    for account in &config.accounts {
        let (Some(app_id), Some(app_secret)) = (&account.credentials.app_id, &account.app_secret) else { continue };
        let caller = Caller { app_id: app_id.as_str().to_owned(), app_secret: app_secret.clone() };
        let api = config.wechat_api.base_url.parse().ok().and_then(|base| Api::new(base, caller).ok());
        let Some(mut api) = api else { continue };
        of_account(account, &mut api, findings).await;
    }
}

async fn of_account(account: &Account, api: &mut Api, findings: &mut Findings) {
    let key = format!("account.{}.app_secret", account.name);
    match api.callback_addresses().await {
        Ok(networks) => {
            findings.ok(&key, format_args!("WeChat gives a token, and calls from {} networks", networks.len()));
        }
        Err(error) => return refused(&key, &error, findings),
    }
    let subject = format!("account.{} network", account.name);
    match api.network_check().await {
        Ok(check) if check.dns.is_empty() && check.ping.is_empty() => {
            findings.warn(subject, "WeChat found nothing at the server URL", "enter the URL in WeChat's page first");
        }
        Ok(check) => {
            let named = check.dns.iter().map(|found| format!("{} ({})", found.ip, found.real_operator));
            let found = format!("WeChat resolves the server URL to {}", named.collect::<Vec<_>>().join(", "));
            let lossy = check.ping.iter().find(|ping| ping.package_loss != LOSS);
            match lossy {
                None => findings.ok(subject, found),
                Some(ping) => findings.warn(
                    subject,
                    format_args!(
                        "{found}; {} of its packets from {} to {} are lost",
                        ping.package_loss, ping.from_operator, ping.ip
                    ),
                    "where ping is not answered that is all; else look at the route to that network",
                ),
            }
        }
        Err(error) => refused(&subject, &error, findings),
    }
}

fn refused(subject: &str, error: &ApiError, findings: &mut Findings) {
    let cure = match (error, error.meaning()) {
        (_, Some(meaning)) => meaning.en_cure,
        (ApiError::Unreachable(_), None) => "allow this machine to reach it, or set HTTPS_PROXY",
        (_, None) => "docs/troubleshooting.md names WeChat's codes",
    };
    findings.fail(subject, error, cure);
}
