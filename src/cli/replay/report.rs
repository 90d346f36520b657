//! What a replay has done, by event type and reason. Nothing of a record stands in it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{reprocess::Verdict, round::Item};

/// Counts what is safe.
#[derive(Debug, Default)]
pub(super) struct Report {
    read: u64,
    published: BTreeMap<&'static str, u64>,
    returned: BTreeMap<&'static str, u64>,
    ignored: u64,
}

impl Report {
    /// Counts the settled ones.
    pub(super) fn count(&mut self, items: &[Item]) {
        for item in items.iter().filter(|item| item.settled) {
            self.read += 1;
            match &item.verdict {
                Verdict::Publish { event_type, .. } => *self.published.entry(event_type).or_default() += 1,
                Verdict::Return(reason) => *self.returned.entry(reason).or_default() += 1,
                Verdict::Ignore => self.ignored += 1,
            }
        }
    }

    /// To standard output.
    pub(super) fn print(&self) -> io::Result<()> {
        self.write(&mut io::stdout().lock())
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "read {}", self.read)?;
        for (what, counts) in [("published", &self.published), ("returned", &self.returned)] {
            writeln!(out, "{what} {}", counts.values().sum::<u64>())?;
            for (label, count) in counts {
                writeln!(out, "  {label} {count}")?;
            }
        }
        writeln!(out, "ignored {}", self.ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_types_and_reasons() {
        let report = Report {
            read: 6,
            published: BTreeMap::from([("card.viewed", 1), ("card.received", 2)]),
            returned: BTreeMap::from([("decrypt", 2)]),
            ignored: 1,
        };
        let mut out = Vec::new();
        report.write(&mut out).unwrap();
        let expected = "read 6\npublished 3\n  card.received 2\n  card.viewed 1\nreturned 2\n  decrypt 2\nignored 1\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
