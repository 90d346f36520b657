//! Stand-in until the branches are merged.

use std::process::ExitCode;

/// Print the schema of the events
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {}

pub(super) fn run(_: &SchemaArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("stand-in")
}
