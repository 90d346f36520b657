# Shared by the parts that run containers; source it after lib.sh. Podman with runc keeps its images below $work, and needs no daemon.
# There is no registry here: images that the shipped files name are stood in by ones of the same name, made from this machine's own files.

packages podman buildah runc curl
cat >"$work/storage.conf" <<CONF
[storage]
driver = "vfs"
runroot = "$work/run"
graphroot = "$work/graph"
CONF
# Limits that a test machine without CAP_SYS_RESOURCE can set.
cat >"$work/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1000:1000"]
[engine]
runtime = "runc"
CONF
export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
# podman has no systemd here to run health checks with, and says so as an error each time.
pod() { podman --log-level fatal "$@"; }

# Copies programs and the libraries that they load: copy_programs ROOT PROGRAM…
copy_programs() {
  local root=$1 program
  shift
  mkdir -p "$root"/{usr/bin,lib64,lib/x86_64-linux-gnu}
  cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
  for program in "$@"; do
    cp -L "$program" "$root/usr/bin/"
    copy_libraries "$root" "$program"
  done
}
copy_libraries() { ldd "$2" | awk '$3 ~ /^\// { print $3 }' | xargs -I{} cp -L {} "$1/lib/x86_64-linux-gnu/"; }

# The image `cardhook`: the shipped container file around the binary that is tested.
build_cardhook() {
  local base=$work/base
  mkdir -p "$base"/{etc/ssl/certs,tmp,var/lib,lib64,lib/x86_64-linux-gnu}
  chmod 1777 "$base/tmp"
  cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/"
  cp -L /lib64/ld-linux-x86-64.so.2 "$base/lib64/"
  copy_libraries "$base" "$binary"
  echo 'nonroot:x:65532:65532::/nonexistent:/sbin/nologin' >"$base/etc/passwd"
  tar -C "$base" -c . | pod import -q - gcr.io/distroless/cc-debian12:nonroot >/dev/null
  # The build context is the project with the binary in its place.
  mkdir -p "$work/context/target/release"
  install -s "$binary" "$work/context/target/release/cardhook"
  buildah bud --quiet --isolation chroot --format docker --build-arg BINARY=prebuilt -t cardhook \
    -f "$project/deploy/container/Containerfile" "$work/context" >/dev/null
}

unmount_images() { awk -v folder="$work/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | xargs -r umount; }
