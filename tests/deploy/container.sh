#!/usr/bin/env bash
# The container file: built, run with a read-only root and no rights, stopped and restarted with podman; the spool survives.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "container: static checks"
source "$project/tests/deploy/images.sh"
[ -x "$tools/venv/bin/hadolint" ] || { python3 -m venv "$tools/venv"; "$tools/venv/bin/pip" install -q --disable-pip-version-check -r "$project/tests/deploy/requirements.txt"; }
"$tools/venv/bin/hadolint" "$project/deploy/container/Containerfile"

stage "container: build"
build_cardhook
bytes=$(pod image inspect --format '{{.Size}}' cardhook)
note "$((bytes / 1024 / 1024)) MiB"
((bytes < 100 * 1024 * 1024)) || fail "the image is larger than 100 MiB"
equal "the image's user" 65532:65532 "$(pod image inspect --format '{{.User}}' cardhook)"

stage "container: run with a read-only root"
public=$(free_port) admin=$(free_port)
configure "$work/config" "$public" "$admin" '["127.0.0.1:1"]'
sed -i "s|$work/config/shop|/etc/cardhook/shop|; s|^path = .*|path = \"/var/lib/cardhook\"|" "$work/config/cardhook.toml"
chown -R 65532 "$work/config"
run() { # NAME VOLUME
  pod run -d --name "$1" --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
    -v "$2:/var/lib/cardhook" -v "$work/config:/etc/cardhook:ro" cardhook >/dev/null
}
after_all() {
  # Without --ignore one that is gone already leaves the others running.
  pod rm --ignore -f -t 0 first second moved bound >/dev/null 2>&1
  unmount_images
}
run first spool
eventually 30 "the container is ready" curl -sf "http://127.0.0.1:$admin/readyz"
pod healthcheck run first || fail "the health check fails in a ready container"
"$binary" send card.received --count 20 --url "http://127.0.0.1:$public/wechat/shop" --app-id wx0123456789abcdef \
  --token-file "$work/config/shop.token" --aes-key-file "$work/config/shop.aes_key" >"$work/send.log" 2>&1
equal "records that wait" 20 "$(metric "$admin" cardhook_spool_records)"

stage "container: stop, restart, and another container with the same volume"
begin=$SECONDS
pod stop -t 15 first >/dev/null
((SECONDS - begin < 12)) || fail "the stop took $((SECONDS - begin)) s"
equal "the exit code of the stop" 0 "$(pod inspect --format '{{.State.ExitCode}}' first)"
pod start first >/dev/null
eventually 30 "the restarted container is ready" curl -sf "http://127.0.0.1:$admin/readyz"
equal "records that wait after the restart" 20 "$(metric "$admin" cardhook_spool_records)"
pod kill first >/dev/null
pod rm -f first >/dev/null
run second spool
eventually 30 "the second container is ready" curl -sf "http://127.0.0.1:$admin/readyz"
equal "records that wait in the new container" 20 "$(metric "$admin" cardhook_spool_records)"

stage "container: bind mounts: the spool moved to another folder, and a folder that belongs to root"
mounted=$(pod volume inspect --format '{{.Mountpoint}}' spool)
pod stop -t 15 second >/dev/null
pod rm -f second >/dev/null
# As if on another machine: what was in the volume is all that is left.
cp -a "$mounted" "$work/moved"
pod volume rm -f spool >/dev/null
run moved "$work/moved"
eventually 30 "the container with the moved spool is ready" curl -sf "http://127.0.0.1:$admin/readyz"
equal "records that wait in the moved spool" 20 "$(metric "$admin" cardhook_spool_records)"
pod rm -f -t 10 moved >/dev/null
install -d -m 0777 "$work/bound"
run bound "$work/bound"
eventually 30 "the container with root's folder is ready" curl -sf "http://127.0.0.1:$admin/readyz"
equal "whose the folder is, and its mode" "0 777" "$(stat -c '%u %a' "$work/bound")"
equal "whose the spool in it is, and its mode" "65532 700" "$(stat -c '%u %a' "$work/bound/cardhook")"
note "ok"
