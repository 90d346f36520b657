#!/usr/bin/env bash
# Consumers and a schema registry that are not ours, too heavy for tests/run.sh, whose jars it needs: a real Apicurio Registry
# that is away while events come, goes away later and loses its schemas; and confluent-kafka's AvroDeserializer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stage() { printf '\n== %s\n' "$*"; }
fail() { echo "$*" >&2; exit 1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Until a command succeeds, a minute at most.
until_done() {
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  fail "not within a minute: $*"
}

folder=$(mktemp -d)
processes=()
cleanup() {
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  wait
  rm -rf "$folder"
}
trap cleanup EXIT

stage "Apicurio Registry, and confluent-kafka (tests/registry)"
registry=${CARDHOOK_TEST_CACHE:-target}/apicurio
if [[ ! -e $registry/installed ]]; then
  mkdir -p "$registry"
  mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact=io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all "-DoutputDirectory=$registry"
  tar -xzf "$registry"/*.tar.gz -C "$registry"
  touch "$registry/installed"
fi
venv=target/registry-venv
if ! cmp -s tests/registry/requirements.txt "$venv/installed"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/registry/requirements.txt
  cp tests/registry/requirements.txt "$venv/installed"
fi

stage "cardhook"
# With an example, so that the dependencies are built as the tests build them, and not once more.
cargo build --locked --bin cardhook --example consumer
cardhook=target/debug/cardhook

stage "Kafka"
broker=127.0.0.1:$(free_port)
controller=127.0.0.1:$(free_port)
cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://$broker,CONTROLLER://$controller
advertised.listeners=PLAINTEXT://$broker,CONTROLLER://$controller
controller.quorum.bootstrap.servers=$controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
log.dirs=$folder/data
PROPERTIES
java=(java -Xmx512m "-Dlog4j2.configurationFile=$PWD/tests/kafka/log4j2.properties" -cp "tests/kafka/libs/*")
"${java[@]}" kafka.tools.StorageTool format --standalone -t MkU3OEVBNTcwNTJENDM2Qk -c "$folder/server.properties" >/dev/null
"${java[@]}" kafka.Kafka "$folder/server.properties" >"$folder/kafka.log" 2>&1 &
processes+=($!)

registry_port=$(free_port)
url=http://127.0.0.1:$registry_port/apis/ccompat/v7
public=127.0.0.1:$(free_port)
admin=127.0.0.1:$(free_port)
cat >"$folder/cardhook.toml" <<TOML
server.listen = "$public"
admin.listen = "$admin"
spool.path = "$folder/spool"

[[account]]
name = "shop"
token = "tokenoftests"
mode = "plaintext"

[kafka]
brokers = ["$broker"]
format = "avro"
schema_registry = "$url"
TOML
until_done "$cardhook" topics create --config "$folder/cardhook.toml" --partitions 3 --replication 1

stage "Events while the registry is away"
"$cardhook" serve --config "$folder/cardhook.toml" >"$folder/cardhook.log" 2>&1 &
processes+=($!)
until_done curl -fs "http://$admin/livez"
"$cardhook" send user_get_card user_view_card user_consume_card --count 100 --config "$folder/cardhook.toml"
until_done grep -q "the schema registry gives no id: events wait in the spool" "$folder/cardhook.log"
found=$("$cardhook" check --connect --config "$folder/cardhook.toml" || true)
[[ $found == *"FAIL  kafka.schema_registry"*"start the registry"* ]] || fail "check does not name the registry: $found"

start_registry() {
  java "-Dquarkus.http.port=$registry_port" -Dquarkus.http.host=127.0.0.1 \
    -jar "$registry/apicurio-registry-app-2.6.13.Final-runner.jar" >"$folder/registry.log" 2>&1 &
  registry_process=$!
  processes+=("$registry_process")
}
knows_the_schema() { [[ $(curl -fs "$url/subjects") == *wechat.card.events-value* ]]; }
registry_is() { curl -fs "http://$admin/metrics" | grep -qx "cardhook_schema_registry_up $1"; }

stage "The registry comes"
start_registry
"$venv/bin/python" tests/registry/read.py "$broker" wechat.card.events "$url" 300
knows_the_schema || fail "the subject is missing"
found=$("$cardhook" check --connect --config "$folder/cardhook.toml" || true)
[[ $found == *"takes the schema of wechat.card.events-value"* ]] || fail "check does not see the registry: $found"

stage "The registry goes away later, and comes back without its schemas"
kill "$registry_process"
until_done registry_is 0
"$cardhook" send user_get_card --count 30 --config "$folder/cardhook.toml"
start_registry
until_done knows_the_schema
until_done registry_is 1
"$venv/bin/python" tests/registry/read.py "$broker" wechat.card.events "$url" 30
