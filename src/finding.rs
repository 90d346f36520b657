//! What a look at the configuration and at what it names found: one line each, and a verdict. Does not depend on what is looked
//! at.

use std::{fmt::Display, io};

use serde_json::json;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    /// It works, and something is to be known.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One finding: what was looked at (a key of the configuration where there is one), what was found, and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub subject: String,
    pub found: String,
    pub cure: Option<String>,
}

/// All findings of a run.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn ok(&mut self, subject: impl Into<String>, found: impl Display) {
        self.push(Level::Ok, subject, found, None);
    }

    pub fn warn(&mut self, subject: impl Into<String>, found: impl Display, cure: impl Into<String>) {
        self.push(Level::Warn, subject, found, Some(cure.into()));
    }

    pub fn fail(&mut self, subject: impl Into<String>, found: impl Display, cure: impl Into<String>) {
        self.push(Level::Fail, subject, found, Some(cure.into()));
    }

    fn push(&mut self, level: Level, subject: impl Into<String>, found: impl Display, cure: Option<String>) {
        self.0.push(Finding { level, subject: subject.into(), found: found.to_string(), cure });
    }

    /// Whether something was found of this subject.
    pub fn about(&self, subject: &str) -> bool {
        self.0.iter().any(|finding| finding.subject == subject)
    }

    /// Every finding, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    /// Whether nothing fails. Warnings are no failures.
    pub fn all_well(&self) -> bool {
        self.count(Level::Fail) == 0
    }

    /// One line a finding, then the verdict.
    pub fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let width = self.0.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or_default();
        for Finding { level, subject, found, cure } in &self.0 {
            write!(out, "{:<4}  {subject:<width$}  {found}", level.label())?;
            match cure {
                Some(cure) => writeln!(out, "  → {cure}")?,
                None => writeln!(out)?,
            }
        }
        let (failures, warnings) = (self.count(Level::Fail), self.count(Level::Warn));
        let verdict = if failures > 0 { "FAIL" } else { "ok" };
        writeln!(out, "{verdict}: {failures} failures, {warnings} warnings")
    }

    /// The same for machines: an object with `verdict`, `failures`, `warnings` and `findings`.
    pub fn print_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        let findings: Vec<_> = self
            .0
            .iter()
            .map(|Finding { level, subject, found, cure }| {
                json!({"level": level.label().to_lowercase(), "subject": subject, "found": found, "cure": cure})
            })
            .collect();
        let verdict = if self.all_well() { "ok" } else { "fail" };
        let (failures, warnings) = (self.count(Level::Fail), self.count(Level::Warn));
        let report = json!({"verdict": verdict, "failures": failures, "warnings": warnings, "findings": findings});
        writeln!(out, "{report:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_with_its_cure_and_the_verdict_counts() {
        let mut findings = Findings::default();
        findings.ok("configuration", "1 account");
        findings.warn("kafka.topic", "replication 1", "3 replicas");
        assert!(findings.all_well());
        findings.fail("spool.path", "read-only", "another folder");
        assert!(!findings.all_well());
        let mut text = Vec::new();
        findings.print(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "ok    configuration  1 account\nwarn  kafka.topic    replication 1  → 3 replicas\n\
             FAIL  spool.path     read-only  → another folder\nFAIL: 1 failures, 1 warnings\n"
        );
        let mut text = Vec::new();
        findings.print_json(&mut text).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(report["verdict"], "fail");
        assert_eq!(report["findings"][1]["cure"], "3 replicas");
        assert_eq!(report["findings"][0]["cure"], serde_json::Value::Null);
    }
}
