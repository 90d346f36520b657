#!/usr/bin/env bash
# The README's first command on a machine that has only Rust and apt: `./dev` installs what building needs, builds, and prints events.
# The machine is a new Debian in a folder; of this one it has the Rust toolchain and the downloaded crates. About ten minutes.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "bare: a machine"
packages mmdebstrap
machine=$work/machine
mmdebstrap --quiet --variant=apt --include=ca-certificates bookworm "$machine"
[ ! -e "$machine/usr/bin/cc" ] && [ ! -e "$machine/usr/bin/make" ] && [ ! -e "$machine/usr/bin/python3" ] || fail "the machine is not bare"
cp /etc/resolv.conf "$machine/etc/"
mkdir -p "$machine/cardhook"
git -C "$project" archive HEAD | tar -C "$machine/cardhook" -x

stage "bare: ./dev --for 15s"
cargo_home=${CARGO_HOME:-$HOME/.cargo} rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
for folder in "$cargo_home" "$rustup_home"; do mkdir -p "$machine$folder"; done
# The mounts end with their namespace.
cat >"$work/inside.sh" <<INSIDE
set -e
mount --bind "$cargo_home" "$machine$cargo_home"
mount --bind "$rustup_home" "$machine$rustup_home"
mount -t proc proc "$machine/proc"
mount --rbind /dev "$machine/dev"
exec chroot "$machine" env -i HOME=/root CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" LANG=C.UTF-8 \
  PATH="$cargo_home/bin:/usr/sbin:/usr/bin:/sbin:/bin" /cardhook/dev --for 15s
INSIDE
begin=$SECONDS
unshare --mount --propagation private bash "$work/inside.sh" >"$work/dev.out" 2>"$work/dev.log" || fail "./dev ended with $?"
note "$((SECONDS - begin)) s"
events=$(grep -c 'card\.' "$work/dev.out" || true)
note "$events lines about events"
((events > 10)) || fail "no events: $(head -c 500 "$work/dev.out")"
