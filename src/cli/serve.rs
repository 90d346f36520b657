//! `cardhook serve`: production. SIGHUP reads the configuration again.

use std::process::ExitCode;

use tokio::signal::unix::{self, SignalKind};

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
        let mut hangup = unix::signal(SignalKind::hangup())?;
        let mut app = App::build(config)?;
        app.watch_cluster()?;
        let mut reloader = app.reloader();
        let reload = async {
            while hangup.recv().await.is_some() {
                match args.config.load() {
                    Ok(config) => reloader.apply(&config),
                    Err(error) => reloader.refuse(&error),
                }
            }
            std::future::pending::<()>().await;
        };
        let stop = signal::first_stops_second_ends()?;
        app.run_until(async {
            tokio::select! {
                () = stop => (),
                () = reload => (),
            }
        })
        .await?;
        Ok(ExitCode::SUCCESS)
    })
}
