//! `cardhook schema`: prints the JSON Schema of the events.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::event::schema::schema;

/// Print the JSON Schema (2020-12) of the events
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {}

pub(super) fn run(_: &SchemaArgs) -> anyhow::Result<ExitCode> {
    writeln!(io::stdout().lock(), "{:#}", schema())?;
    Ok(ExitCode::SUCCESS)
}
