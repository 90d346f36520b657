//! The `cardhook` binary: see [`cardhook::cli`].

use std::process::ExitCode;

/// About a tenth less CPU per request than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cardhook::cli::main()
}
