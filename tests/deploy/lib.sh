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

# One broker of Apache Kafka. Sets $broker; its id is in $kafka_id.
start_kafka() {
  "$project/tests/kafka/fetch.sh" >/dev/null
  local folder=$work/kafka port controller
  port=$(free_port) controller=$(free_port)
  mkdir -p "$folder"
  cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$folder/data
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
  local java=(java -Xms256m -Xmx512m "-Dlog4j2.configurationFile=$project/tests/kafka/log4j2.properties" "-Dkafka.logs.dir=$folder" -cp "$project/tests/kafka/libs/*")
  "${java[@]}" kafka.tools.StorageTool format --standalone -t MkU3OEVBNTcwNTJENDM2Qk -c "$folder/server.properties" >"$work/format.log" 2>&1
  start kafka "${java[@]}" kafka.Kafka "$folder/server.properties"
  kafka_id=$last
  broker=127.0.0.1:$port
  eventually 60 "the broker answers" kcat -b "$broker" -L -m 2
}

# A certificate for 127.0.0.1 and your.domain, and one file with certificate and key: $work/tls/{fullchain,privkey,both}.pem
make_certificate() {
  mkdir -p "$work/tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=your.domain -addext 'subjectAltName=DNS:your.domain,IP:127.0.0.1' \
    -keyout "$work/tls/privkey.pem" -out "$work/tls/fullchain.pem" 2>/dev/null
  cat "$work/tls/fullchain.pem" "$work/tls/privkey.pem" >"$work/tls/both.pem"
}
