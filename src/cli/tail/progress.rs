//! A progress bar on standard error, while what stood on the topic at the start is read.
//!
//! Not shown where standard error is no terminal, or where it would stand between printed events.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar. Hidden when there is nothing to wait for.
pub(super) fn bar(records: u64, prints_events: bool) -> ProgressBar {
    if records == 0 || (prints_events && io::stdout().is_terminal()) {
        return ProgressBar::hidden();
    }
    // Hides itself where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(records), ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} records, {per_sec}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
