//! The documents hold: every command, configuration, line of code and name that they show is the real one's.

mod walk;

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use cardhook::metrics::{Cause, NotHttp};
use serde_json::Value;
use tempfile::TempDir;

use super::support::{cardhook::run, project};

/// The broker's address in the documents.
const SHOWN: &str = "127.0.0.1:9092";
/// Keys that have one value only until their parts come.
const LATER: [&str; 1] = ["kafka.format"];

/// Every page in English and in Chinese.
const PAGES: [[&str; 2]; 13] = [
    ["README.md", "README.zh-CN.md"],
    ["docs/configuration.md", "docs/configuration.zh-CN.md"],
    ["docs/metrics.md", "docs/metrics.zh-CN.md"],
    ["docs/telemetry.md", "docs/telemetry.zh-CN.md"],
    ["docs/consuming.md", "docs/consuming.zh-CN.md"],
    ["docs/performance.md", "docs/performance.zh-CN.md"],
    ["docs/sizing.md", "docs/sizing.zh-CN.md"],
    ["docs/alerts.md", "docs/alerts.zh-CN.md"],
    ["docs/troubleshooting.md", "docs/troubleshooting.zh-CN.md"],
    ["docs/failures.md", "docs/failures.zh-CN.md"],
    ["docs/cards.md", "docs/cards.zh-CN.md"],
    ["schemas/README.md", "schemas/README.zh-CN.md"],
    ["docs/console.md", "docs/console.zh-CN.md"],
];

fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap()
}

/// The fenced blocks of one language, without the indentation of the list they stand in.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut indent = None;
    for line in document.lines() {
        let text = line.trim_start();
        match indent {
            None if text == format!("```{language}") => {
                indent = Some(line.len() - text.len());
                blocks.push(String::new());
            }
            None => {}
            Some(_) if text == "```" => indent = None,
            Some(width) => writeln!(blocks.last_mut().unwrap(), "{}", line.get(width..).unwrap_or("")).unwrap(),
        }
    }
    blocks
}

/// The lines of the shell blocks, without their comments.
fn shell_lines(document: &str) -> Vec<String> {
    let without_comment = |line: &str| line.split(" #").next().unwrap().trim_end().to_owned();
    blocks(document, "sh").concat().lines().map(without_comment).collect()
}

/// What stands between backquotes outside of the fenced blocks.
fn inline_code(document: &str) -> Vec<String> {
    let prose: String = document.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of metrics that a text speaks of.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("cardhook_")).map(|word| word.trim_end_matches("_total").to_owned()).collect()
}

/// A folder with the README's configuration and its secrets, for a broker.
fn deployed(broker: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix("cardhook-readme").tempdir().unwrap();
    let place = folder.path().display().to_string();
    let config = placed(&blocks(&read("README.md"), "toml")[0], &place).replace(SHOWN, broker);
    std::fs::write(folder.path().join("cardhook.toml"), config).unwrap();
    std::fs::write(folder.path().join("shop.token"), "readmeToken0042\n").unwrap();
    std::fs::write(folder.path().join("shop.aes_key"), "cardhookCARDHOOK0123456789cardhookCARDHOOKx\n").unwrap();
    folder
}

/// A configuration of the documents, moved from the system's folders into one of the test's.
fn placed(config: &str, folder: &str) -> String {
    config.replace("/etc/cardhook", folder).replace("/var/lib/cardhook", &format!("{folder}/spool"))
}

/// The effective configuration, without the findings that stand below it as comments.
fn checked(config: &Path) -> String {
    let output = run(&["check", "--print", "--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.lines().filter(|line| !line.starts_with('#')).fold(String::new(), |page, line| page + line + "\n")
}

#[test]
fn the_example_configuration_is_valid_and_shows_the_defaults() {
    let folder = deployed(SHOWN);
    let example = placed(&read("deploy/cardhook.example.toml"), folder.path().to_str().unwrap());
    let path = folder.path().join("example.toml");
    std::fs::write(&path, &example).unwrap();
    let effective = checked(&path);
    assert_eq!(effective, checked(&folder.path().join("cardhook.toml")), "the README's configuration sets no more");
    for line in effective.lines() {
        let key = line.split(" =").next().unwrap();
        assert!(example.contains(key), "{key} is not in the example");
    }
}

#[test]
fn the_table_of_keys_is_complete_and_its_defaults_are_right() {
    let folder = deployed(SHOWN);
    let config = folder.path().join("cardhook.toml");
    let (written, effective) = (std::fs::read_to_string(&config).unwrap(), checked(&config));
    for document in ["docs/configuration.md", "docs/configuration.zh-CN.md"].map(read) {
        let mut section = String::new();
        for line in effective.lines() {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            }
            let Some((key, value)) = line.split_once(" = ") else { continue };
            let key = format!("{section}.{key}");
            if LATER.contains(&key.as_str()) {
                continue;
            }
            let row = document.lines().find(|row| row.starts_with(&format!("| `{key}`")));
            let row = row.unwrap_or_else(|| panic!("{key} is not in the table"));
            let given =
                written.contains(line) || value == "\"[redacted]\"" || key == "account.path" || key == "spool.path";
            assert!(given || row.contains(&format!("| `{value}` |")), "the default of {key} is {value}: {row}");
        }
    }
}

#[test]
fn the_readme_is_short() {
    for page in ["README.md", "README.zh-CN.md"] {
        let lines = read(page).lines().count();
        assert!(lines < 250, "{page} has {lines} lines: move details to a page of docs/");
    }
}

#[test]
fn every_command_shown_parses() {
    for document in PAGES.into_iter().flatten().map(read) {
        let shown = shell_lines(&document).into_iter().chain(inline_code(&document));
        for command in shown.filter(|code| code.starts_with("cardhook ")) {
            // Every flag and value before --help is judged.
            let args = command.replace(['[', ']'], "") + " --help";
            let args: Vec<&str> = args.split_whitespace().skip(1).collect();
            let output = run(&args);
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn both_languages_show_the_same() {
    for [english, chinese] in PAGES {
        show_the_same(&read(english), &read(chinese));
    }
}

fn show_the_same(english: &str, chinese: &str) {
    for language in ["sh", "toml", "json", "python", "rust"] {
        let without_comments = |document: &str| -> Vec<String> {
            let lines = blocks(document, language).concat();
            let line =
                |line: &str| line.split(" # ").next().unwrap().split(" // ").next().unwrap().trim_end().to_owned();
            lines.lines().map(line).collect()
        };
        assert_eq!(without_comments(english), without_comments(chinese), "{language}");
    }
    let level = |document: &str| document.lines().filter(|line| line.starts_with('#')).count();
    assert_eq!(level(english), level(chinese));
    assert_eq!(metrics(english), metrics(chinese));
}

#[test]
fn every_file_that_a_document_links_is_there() {
    for page in PAGES.into_iter().flatten() {
        let document = read(page);
        let folder = project(page).parent().unwrap().to_owned();
        let targets = document.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for target in targets.filter(|target| !target.starts_with("https://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap();
            assert!(folder.join(file).exists(), "{page}: {target}");
        }
        for file in inline_code(&document).iter().filter(|code| code.starts_with("src/") || code.starts_with("tests/"))
        {
            assert!(project(file).exists(), "{file}");
        }
    }
}

#[test]
fn the_event_shown_has_the_fields_of_the_schemas_example() {
    let shown: Value = serde_json::from_str(&blocks(&read("README.md"), "json")[0]).unwrap();
    let example: Value = serde_json::from_str(&read("schemas/examples/card.received.json")).unwrap();
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&shown), fields(&example));
}

#[test]
fn the_rust_lines_are_those_of_the_example() {
    let shown = blocks(&read("docs/consuming.md"), "rust").concat();
    let example = read("examples/consume.rs");
    let body = example.split_once("fn main() -> Result<(), Box<dyn Error>> {\n").unwrap().1;
    let body = body.split_once("    Ok(())\n}").unwrap().0;
    let body: String =
        body.lines().fold(String::new(), |body, line| body + line.strip_prefix("    ").unwrap_or(line) + "\n");
    assert_eq!(shown, body);
}

#[test]
fn the_troubleshooting_page_has_an_entry_for_each_cause_in_the_code() {
    for page in ["docs/troubleshooting.md", "docs/troubleshooting.zh-CN.md"].map(read) {
        let entries: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let causes: BTreeSet<&str> = Cause::ALL.into_iter().map(Cause::label).collect();
        assert_eq!(entries, causes);
        for cause in NotHttp::ALL.map(NotHttp::label) {
            assert!(page.lines().any(|line| line.starts_with(&format!("| `{cause}` |"))), "{cause}");
        }
    }
}
