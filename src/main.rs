//! The `cardhook` binary: see [`cardhook::cli`].

fn main() {}
