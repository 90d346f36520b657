#!/usr/bin/env bash
# The Debian package under a real systemd, in a container of its own: installed, started, upgraded, removed, purged.
# What waits in the spool survives the upgrade and the removal; the unit's hardening is on.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "package: build"
packages mmdebstrap systemd-container lintian curl
command -v cargo-deb >/dev/null || PATH=$PATH:$tools/bin
command -v cargo-deb >/dev/null || cargo install --quiet --locked cargo-deb --version 3.8.0 --root "$tools"
mkdir -p "$project/target/release"
[ "$binary" -ef "$project/target/release/cardhook" ] || install -s "$binary" "$project/target/release/cardhook"
first=$("$project/deploy/debian/build.sh" --deb-version 0.1.0-1 --output "$work/first.deb" | tail -1)
second=$("$project/deploy/debian/build.sh" --deb-version 0.1.0-2 --output "$work/second.deb" | tail -1)
[ -s "$first" ] && [ -s "$second" ] || fail "cargo deb printed no package"
lintian --fail-on error --suppress-tags "$(grep -v '^#' "$project/deploy/debian/lintian-suppressed" | cut -d' ' -f1 | paste -sd,)" "$first"

# The pages go with their pictures.
shipped=$(dpkg-deb --fsys-tarfile "$first" | tar t)
for picture in $(grep -ho '!\[[^]]*\]([^)]*)' "$project"/docs/*.md | sed 's/.*(\(.*\))/\1/' | sort -u); do
  grep -qx "./usr/share/doc/cardhook/$picture" <<<"$shipped" || fail "a page shows $picture, and the package lacks it"
done

stage "package: a machine with systemd"
machine=$work/machine
mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,procps,ca-certificates,libssl3,curl,init-system-helpers \
  bookworm "$machine"
cp "$first" "$machine/root/first.deb"
cp "$second" "$machine/root/second.deb"
start machine systemd-nspawn --quiet -D "$machine" --boot --register=no --keep-unit --console=pipe
container=$last
init_of() { pgrep -P "$container" | head -1; }
eventually 20 "the machine's init process" init_of
init=$(init_of)
# systemd-nspawn's child is a guard; the machine's init is its child on some versions.
inside() { nsenter -t "$init" -m -u -i -n -p -C -- "$@"; }
eventually 60 "systemd answers" inside systemctl is-system-running --wait
after_all() { kill -KILL "$container" 2>/dev/null || true; }

public=$(free_port) admin=$(free_port)
configuration() {
  configure "$machine/etc/cardhook" "$public" "$admin" '["127.0.0.1:1"]'
  # The unit gives the secrets as credentials, and the spool is its state directory.
  sed -i '/_file = /d; s|^path = .*|path = "/var/lib/cardhook"|' "$machine/etc/cardhook/cardhook.toml"
}

stage "package: install, start"
inside dpkg -i /root/first.deb
inside test -f /usr/share/man/man1/cardhook.1.gz
equal "the service before there is a configuration" inactive "$(inside systemctl is-active cardhook || true)"
configuration
inside systemctl enable --now cardhook
eventually 20 "the service is ready" curl -sf "http://127.0.0.1:$admin/readyz"
inside systemd-analyze security --threshold=15 --no-pager cardhook | tail -1
equal "verification of the unit" "" "$(inside systemd-analyze verify /lib/systemd/system/cardhook.service 2>&1)"

stage "package: an upgrade keeps what waits in the spool"
cp "$work/machine/etc/cardhook/shop.token" "$work/shop.token"
"$binary" send card.received --count 50 --url "http://127.0.0.1:$public/wechat/shop" --app-id wx0123456789abcdef \
  --token-file "$machine/etc/cardhook/shop.token" --aes-key-file "$machine/etc/cardhook/shop.aes_key" >"$work/send.log" 2>&1
equal "records that wait" 50 "$(metric "$admin" cardhook_spool_records)"
before=$(inside systemctl show -p MainPID --value cardhook)
inside dpkg -i /root/second.deb
eventually 20 "the upgraded service is ready" curl -sf "http://127.0.0.1:$admin/readyz"
[ "$before" != "$(inside systemctl show -p MainPID --value cardhook)" ] || fail "the upgrade did not restart the service"
equal "records that wait after the upgrade" 50 "$(metric "$admin" cardhook_spool_records)"

stage "package: kill, reload, remove, purge"
inside systemctl kill -s KILL cardhook
eventually 20 "the service comes back after a crash" curl -sf "http://127.0.0.1:$admin/readyz"
inside systemctl reload cardhook
equal "the service after a reload" active "$(inside systemctl is-active cardhook)"
inside dpkg -r cardhook
equal "the service after the removal" inactive "$(inside systemctl is-active cardhook || true)"
inside test -f /etc/cardhook/cardhook.toml
inside sh -c 'test -s /var/lib/private/cardhook/spool.db'
inside dpkg -P cardhook
inside sh -c '! test -e /var/lib/private/cardhook && ! test -e /var/lib/cardhook'
note "ok"
