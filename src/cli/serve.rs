//! `cardhook serve`: production.

use std::process::ExitCode;

use super::{ConfigArgs, signal};
use crate::{app::App, telemetry};

/// Run the receiver
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    telemetry::init(&config.log);
    actix_web::rt::System::new().block_on(async {
        let app = App::build(config)?;
        let stop = signal::first_stops_second_ends()?;
        app.run_until(stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
