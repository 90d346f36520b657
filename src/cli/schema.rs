//! `cardhook schema`: prints the schema of the events.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ValueEnum;

use crate::event::{asyncapi, avro_schema, schema::schema};

/// Print the schema of the events
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// In which language
    #[arg(long, value_enum, default_value = "json-schema")]
    format: SchemaFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaFormat {
    /// JSON Schema (2020-12) of the values
    JsonSchema,
    /// AsyncAPI 3: topics, keys, headers, values, examples
    #[value(name = "asyncapi")]
    AsyncApi,
    /// Avro: the schema that kafka.format = "avro" registers
    Avro,
}

pub(super) fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let printed = match args.format {
        SchemaFormat::JsonSchema => schema(),
        SchemaFormat::AsyncApi => asyncapi()?,
        SchemaFormat::Avro => avro_schema(),
    };
    writeln!(io::stdout().lock(), "{printed:#}")?;
    Ok(ExitCode::SUCCESS)
}
