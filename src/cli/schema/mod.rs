//! `cardhook schema`: prints the schema of the events, or their catalogue for people.

mod catalogue;
mod texts;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ValueEnum;

use crate::event::{asyncapi, avro_schema, schema::schema};

/// Print the schema of the events
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// What to print
    #[arg(long, value_enum, default_value = "json-schema")]
    format: SchemaFormat,
    /// The catalogue's language
    #[arg(long, value_enum, default_value = "en")]
    lang: Language,
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
    /// The event catalogue, Markdown for people: each type and when it is sent, each field, whether it can be null, an example
    Catalogue,
}

/// A language of the catalogue. Its texts stand in this order.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    /// English
    En,
    /// Chinese
    #[value(name = "zh-CN")]
    ZhCn,
}

impl Language {
    /// The text in this language.
    fn of(self, [english, chinese]: [&str; 2]) -> &str {
        match self {
            Self::En => english,
            Self::ZhCn => chinese,
        }
    }
}

pub(super) fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let printed = match args.format {
        SchemaFormat::JsonSchema => schema(),
        SchemaFormat::AsyncApi => asyncapi()?,
        SchemaFormat::Avro => avro_schema(),
        SchemaFormat::Catalogue => {
            write!(io::stdout().lock(), "{}", catalogue::catalogue(&asyncapi()?, args.lang))?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    writeln!(io::stdout().lock(), "{printed:#}")?;
    Ok(ExitCode::SUCCESS)
}
