//! Environment variables and flags over what the file says. Their texts stay untyped: the key's type reads them later.
//!
//! Does not depend on which keys exist, and to read the real environment (see [`super::environment`]).

use super::{
    ConfigError, kafka_options,
    raw::{Origin, Raw, Value},
    section::Section,
};

/// What every variable of cardhook begins with.
const PREFIX: &str = "CARDHOOK__";
/// What a variable that means cardhook begins with: another one than [`PREFIX`] is a slip.
const NEARLY: &str = "CARDHOOK_";

/// Variables that the scripts beside cardhook read, which may be set where it is started.
const OF_SCRIPTS: [&str; 3] = ["CARDHOOK_BIN", "CARDHOOK_IMAGE", "CARDHOOK_SHARED"];

/// Whether a variable speaks to cardhook.
pub(super) fn is_meant(variable: &str, value: &str) -> bool {
    let of_others = || OF_SCRIPTS.contains(&variable) || is_service_link(variable, value);
    variable.starts_with(PREFIX) || variable.starts_with(NEARLY) && !of_others()
}

/// Variables that Kubernetes sets in every container for a Service `cardhook` or `cardhook-…` of its namespace.
fn is_service_link(variable: &str, value: &str) -> bool {
    let of_a_port = |protocol: &str| value.starts_with(&format!("{protocol}://"));
    let port_of = |protocol: &str| variable.contains(&format!("_{protocol}"));
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || variable.ends_with("_PORT") && ["tcp", "udp", "sctp"].iter().any(|protocol| of_a_port(protocol))
        || variable.contains("_PORT_") && ["TCP", "UDP", "SCTP"].iter().any(|protocol| port_of(protocol))
}

/// Keys whose values are secrets.
const SECRETS: [&str; 6] = ["token", "previous_token", "aes_key", "previous_aes_key", "app_secret", "sasl_password"];

/// The key that a variable or a flag speaks of.
enum Place {
    Account { account: String, key: String },
    Key { section: String, key: String },
}

/// `CARDHOOK__SERVER__LISTEN`, `CARDHOOK__ACCOUNT__SHOP__TOKEN`, `CARDHOOK__KAFKA__OPTIONS__SECURITY_PROTOCOL`.
pub(super) fn environment(
    raw: &mut Raw,
    variables: impl IntoIterator<Item = (String, String)>,
    errors: &mut Vec<ConfigError>,
) {
    let mut variables: Vec<_> = variables.into_iter().filter(|(name, value)| is_meant(name, value)).collect();
    // The order of an environment is chance; that of accounts, and of errors, is not to be.
    variables.sort_unstable();
    for (variable, value) in variables {
        if value.contains(char::REPLACEMENT_CHARACTER) {
            errors.push(ConfigError::new(variable, "is not UTF-8 (not shown)", "write the value in UTF-8"));
        } else if let Some(place) = variable_place(&variable) {
            set(raw, place, value, Origin::Environment(variable), errors);
        } else {
            errors.push(ConfigError::new(
                variable,
                "is no known variable",
                "write CARDHOOK__SECTION__KEY, CARDHOOK__ACCOUNT__NAME__KEY or CARDHOOK__KAFKA__OPTIONS__PROPERTY in upper case",
            ));
        }
    }
}

/// `server.listen`, `account.shop.token`, `kafka.options.security.protocol`, each with its text.
pub(super) fn flags(raw: &mut Raw, flags: &[(String, String)], errors: &mut Vec<ConfigError>) {
    for (name, value) in flags {
        if let Some(place) = flag_place(name) {
            if is_secret(&place, value) {
                errors.push(ConfigError::new(
                    name,
                    "is a secret, and a command line stands in the process list",
                    "give it in a file (…_file), the configuration or the environment",
                ));
                continue;
            }
            set(raw, place, value.clone(), Origin::Flag, errors);
        } else {
            errors.push(ConfigError::new(
                name,
                "is no key (command line)",
                "write section.key, account.name.key or kafka.options.property",
            ));
        }
    }
}

fn variable_place(variable: &str) -> Option<Place> {
    let rest = variable.strip_prefix(PREFIX)?;
    if rest.is_empty() || rest.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let rest = rest.to_ascii_lowercase();
    if let Some(account) = rest.strip_prefix("account__") {
        // A name may have `--` or end in `-`, a key never has `__`: the last pair is the border.
        let (account, key) = account.rsplit_once("__")?;
        return Some(Place::Account { account: account.replace('_', "-"), key: key.into() });
    }
    if let Some(property) = rest.strip_prefix("kafka__options__") {
        return Some(Place::Key { section: "kafka.options".into(), key: property.replace('_', ".") });
    }
    let (section, key) = rest.split_once("__")?;
    Some(Place::Key { section: section.into(), key: key.into() })
}

fn is_secret(place: &Place, value: &str) -> bool {
    match place {
        // The address of a registry is one where a user and a password stand in it.
        Place::Key { section, key } if section == "kafka" && key == "schema_registry" => value.contains('@'),
        Place::Key { section, key } if section == "kafka.options" => kafka_options::is_secret(key),
        Place::Key { key, .. } | Place::Account { key, .. } => SECRETS.contains(&key.as_str()),
    }
}

fn flag_place(name: &str) -> Option<Place> {
    if let Some(account) = name.strip_prefix("account.") {
        let (account, key) = account.split_once('.')?;
        return Some(Place::Account { account: account.into(), key: key.into() });
    }
    if let Some(property) = name.strip_prefix("kafka.options.") {
        return Some(Place::Key { section: "kafka.options".into(), key: property.into() });
    }
    let (section, key) = name.split_once('.')?;
    Some(Place::Key { section: section.into(), key: key.into() })
}

fn set(raw: &mut Raw, place: Place, value: String, origin: Origin, errors: &mut Vec<ConfigError>) {
    match place {
        Place::Key { section, key } => raw.section(&section).set(&key, Value::Untyped(value), origin),
        Place::Account { account, key } if key == "name" => errors.push(ConfigError::new(
            format!("account.{account}.name"),
            format!("cannot be set here ({origin})"),
            "leave it out: the name stands before the key",
        )),
        Place::Account { account, key } => {
            account_section(raw, &account, &origin).set(&key, Value::Untyped(value), origin);
        }
    }
}

/// The account of that name; a new one when no source named it before.
fn account_section<'a>(raw: &'a mut Raw, name: &str, origin: &Origin) -> &'a mut Section {
    let key = format!("account.{name}");
    let index = raw.accounts.iter().position(|account| account.key() == key).unwrap_or_else(|| {
        let mut account = Section::new(&key);
        account.set("name", Value::Untyped(name.to_owned()), origin.clone());
        if let Origin::Environment(variable) = origin {
            account.made_by(variable);
        }
        raw.accounts.push(account);
        raw.accounts.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "the index was found, or pushed, just now")]
    &mut raw.accounts[index]
}
