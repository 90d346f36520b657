//! What a replay of unverified pushes has done, by event type and reason. Nothing of a push stands in it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::super::reprocess::Verdict;

/// Counts what is decided, and of what is sent only what is safe.
#[derive(Debug, Default)]
pub(in crate::cli::replay) struct Tally {
    published: BTreeMap<&'static str, u64>,
    quarantined: BTreeMap<&'static str, u64>,
    known: u64,
    ignored: u64,
    left: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn sent(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Publish { event_type, .. } => *self.published.entry(event_type).or_default() += 1,
            Verdict::Return(reason) => *self.quarantined.entry(reason).or_default() += 1,
            Verdict::Ignore => self.ignored += 1,
        }
    }

    pub(super) fn known(&mut self) {
        self.known += 1;
    }

    pub(super) fn ignored(&mut self) {
        self.ignored += 1;
    }

    pub(super) fn left(&mut self, reason: &'static str) {
        *self.left.entry(reason).or_default() += 1;
    }

    /// To standard output.
    pub(in crate::cli::replay) fn print(&self) -> io::Result<()> {
        self.write(&mut io::stdout().lock())
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let sum = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
        let Self { published, quarantined, known, ignored, left } = self;
        writeln!(out, "read {}", sum(published) + sum(quarantined) + known + ignored + sum(left))?;
        for (what, counts) in [("published", published), ("quarantined", quarantined)] {
            counted(out, what, counts)?;
        }
        writeln!(out, "known {known}\nignored {ignored}")?;
        counted(out, "left", left)
    }
}

fn counted(out: &mut impl Write, what: &str, counts: &BTreeMap<&'static str, u64>) -> io::Result<()> {
    writeln!(out, "{what} {}", counts.values().sum::<u64>())?;
    for (label, count) in counts {
        writeln!(out, "  {label} {count}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_types_and_reasons() {
        let mut tally = Tally { published: BTreeMap::from([("card.viewed", 2)]), ..Tally::default() };
        tally.sent(&Verdict::Return("decrypt"));
        tally.known();
        tally.ignored();
        tally.left("token");
        let mut out = Vec::new();
        tally.write(&mut out).unwrap();
        let expected =
            "read 6\npublished 2\n  card.viewed 2\nquarantined 1\n  decrypt 1\nknown 1\nignored 1\nleft 1\n  token 1\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
