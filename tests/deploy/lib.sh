# Shared by the deployment tests. Source it; it does nothing by itself.
# Every process that a test starts is ended by its id, whatever happens.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$project/target/deploy-tools
work=$(mktemp -d "${TMPDIR:-/tmp}/cardhook-deploy.XXXXXX")
binary=${CARDHOOK_BIN:-$project/target/debug/cardhook}
started=()

stage() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

clean_up() {
  local code=$? id
  for id in "${started[@]}"; do kill "$id" 2>/dev/null || true; done
  for id in "${started[@]}"; do wait "$id" 2>/dev/null || true; done
  ((code == 0)) || for file in "$work"/*.log; do [ -f "$file" ] && { echo "--- $file"; tail -n 30 "$file"; } >&2; done
  type -t after_all >/dev/null && after_all || true
  rm -rf "$work"
  exit "$code"
}
trap clean_up EXIT

# Starts a program in the background; its output goes to NAME.log. Sets $last.
start() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  last=$!
  started+=("$last")
}

# eventually SECONDS WHAT COMMAND…: asks every 0.2 s until the command succeeds.
eventually() {
  local limit=$1 what=$2 end
  shift 2
  end=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "not within $limit s: $what"
    sleep 0.2
  done
}

# A port of 127.0.0.1 that nothing listens on.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# equal WHAT EXPECTED FOUND
equal() { [ "$2" = "$3" ] || fail "$1: expected $2, found $3"; }

packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  if ((${#missing[@]})); then
    note "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
}

# An account of the tests with its secrets, and a configuration: configure FOLDER PUBLIC_PORT ADMIN_PORT BROKERS(TOML list)
configure() {
  local folder=$1 public=$2 admin=$3 brokers=$4
  mkdir -p "$folder"
  echo deployTestToken01 >"$folder/shop.token"
  echo cardhookCARDHOOK0123456789cardhookCARDHOOKx >"$folder/shop.aes_key"
  chmod 0600 "$folder"/shop.*
  cat >"$folder/cardhook.toml" <<TOML
[server]
listen = "127.0.0.1:$public"
[admin]
listen = "127.0.0.1:$admin"
[[account]]
name = "shop"
app_id = "wx0123456789abcdef"
token_file = "$folder/shop.token"
aes_key_file = "$folder/shop.aes_key"
[kafka]
brokers = $brokers
[spool]
path = "$folder/spool"
TOML
}

metric() { # metric ADMIN_PORT NAME: the sum of its series
  curl -sf "http://127.0.0.1:$1/metrics" | awk -v name="$2" '$1 == name || index($1, name "{") == 1 { sum += $NF } END { print sum + 0 }'
}
