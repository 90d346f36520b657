//! `cardhook serve`: production.

use std::{path::PathBuf, process::ExitCode};

use super::{load_config, signal};
use crate::{app::App, telemetry};

/// Run the receiver
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The configuration (TOML); the environment's `CARDHOOK__…` override it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = load_config(&args.config)?;
    telemetry::init(&config.log);
    actix_web::rt::System::new().block_on(async {
        let app = App::build(config)?;
        let stop = signal::first_stops_second_ends()?;
        app.run_until(stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
