//! SIGINT (Ctrl-C) and SIGTERM: the first asks to stop, the second ends at once.

use std::{io, process, thread};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Resolves at the first signal. From then on another one ends the process, whatever it waits for.
///
/// Listens on a thread of its own: a stop that blocks every other one must not outlive the second signal.
///
/// # Errors
/// When the handlers cannot be installed.
pub(super) fn first_stops_second_ends() -> io::Result<impl Future<Output = ()>> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (stop, stopped) = oneshot::channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            either(&mut interrupt, &mut terminate).await;
            // A command that no longer waits is ending already.
            let _ = stop.send(());
            either(&mut interrupt, &mut terminate).await;
        });
        end();
    })?;
    Ok(async {
        // The sender lives as long as the thread, which ends the process.
        let _ = stopped.await;
    })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}

#[expect(clippy::disallowed_methods, reason = "main is what a second signal does not wait for")]
fn end() {
    process::exit(1);
}
