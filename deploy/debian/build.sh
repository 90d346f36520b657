#!/usr/bin/env bash
# Builds the Debian package from target/release/cardhook (cargo build --release first). Needs cargo-deb 3.8:
#   cargo install --locked cargo-deb --version 3.8.0
# Arguments go to `cargo deb`, such as --deb-version 0.1.0-2. Prints the package's path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
binary=target/release/cardhook
[ -x "$binary" ] || { echo "$binary is missing: run cargo build --release" >&2; exit 1; }
out=target/deb
rm -rf "$out"
mkdir -p "$out/man"
"$binary" man "$out/man"
"$binary" completions bash >"$out/cardhook.bash"
"$binary" completions zsh >"$out/_cardhook"
"$binary" completions fish >"$out/cardhook.fish"
# A package's files stand below /usr.
sed 's|/usr/local/bin/|/usr/bin/|' deploy/cardhook.service >"$out/cardhook.service"
cargo deb --no-build "$@"
