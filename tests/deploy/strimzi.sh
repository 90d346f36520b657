#!/usr/bin/env bash
# Strimzi's topics and user: read with Strimzi's own classes, applied to three real brokers as its operators would, and cardhook
# run there as that user. There is no Kubernetes here.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "strimzi: Strimzi's classes, three brokers that ask for a password"
packages kcat curl
"$project/tests/kafka/fetch.sh" >/dev/null
classes=$tools/strimzi
if ! cmp -s "$project/tests/deploy/strimzi/pom.xml" "$classes/installed"; then
  rm -rf "$classes"
  mvn -B -q -f "$project/tests/deploy/strimzi/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$classes"
  cp "$project/tests/deploy/strimzi/pom.xml" "$classes/installed"
fi
java=(java -Xms128m -Xmx384m -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$project/tests/kafka/log4j2.properties" "-Dkafka.logs.dir=$work" -cp "$project/tests/kafka/libs/*")
plain=() secured=() controllers=()
for node in 0 1 2; do plain+=("$(free_port)") secured+=("$(free_port)") controllers+=("$(free_port)"); done
for node in 0 1 2; do
  cat >"$work/$node.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$node
listeners=PLAINTEXT://127.0.0.1:${plain[node]},SASL_PLAINTEXT://127.0.0.1:${secured[node]},CONTROLLER://127.0.0.1:${controllers[node]}
advertised.listeners=PLAINTEXT://127.0.0.1:${plain[node]},SASL_PLAINTEXT://127.0.0.1:${secured[node]}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
controller.quorum.voters=0@127.0.0.1:${controllers[0]},1@127.0.0.1:${controllers[1]},2@127.0.0.1:${controllers[2]}
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
auto.create.topics.enable=false
log.dirs=$work/data-$node
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
PROPERTIES
  "${java[@]}" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$work/$node.properties" >"$work/format.log" 2>&1
  start "kafka-$node" "${java[@]}" kafka.Kafka "$work/$node.properties"
done
three_brokers() { kcat -b "127.0.0.1:${plain[0]}" -L -m 2 | grep -q ' 3 brokers'; }
eventually 60 "three brokers answer" three_brokers

stage "strimzi: the resources applied"
apply() { "${java[@]}:$classes/*" "$project/tests/deploy/strimzi/Apply.java" "$1" "127.0.0.1:${plain[0]}" aPassword0042; }
sed 's/patternType/patterntype/' "$project/deploy/strimzi/cardhook.yaml" >"$work/misspelt.yaml"
! apply "$work/misspelt.yaml" >"$work/misspelt.log" 2>&1 || fail "a field that Strimzi does not know passes"
grep -q 'Unrecognized field "patterntype"' "$work/misspelt.log" || fail "another error than the misspelt field"
apply "$project/deploy/strimzi/cardhook.yaml" 2>"$work/apply.log"

stage "strimzi: cardhook as that user"
public=$(free_port) admin=$(free_port)
configure "$work/config" "$public" "$admin" "[\"127.0.0.1:${secured[0]}\", \"127.0.0.1:${secured[1]}\"]"
echo aPassword0042 >"$work/config/kafka.password"
chmod 0600 "$work/config/kafka.password"
# In this mode a body that no key opens can be signed.
sed -i "s|^name = \"shop\"|&\nmode = \"compat\"|; s|^\[kafka\]|&\nsasl_password_file = \"$work/config/kafka.password\"|" "$work/config/cardhook.toml"
cat >>"$work/config/cardhook.toml" <<TOML
[kafka.options]
"security.protocol" = "SASL_PLAINTEXT"
"sasl.mechanism" = "SCRAM-SHA-512"
"sasl.username" = "cardhook"
TOML
config=(--config "$work/config/cardhook.toml")
"$binary" check "${config[@]}" --connect >"$work/check.log" 2>&1 || fail "check --connect"
! grep -q FAIL "$work/check.log" || fail "check --connect has a FAIL"
"$binary" topics create "${config[@]}" >"$work/topics.log" 2>&1 || fail "topics create as that user"
equal "topics that are as they should be" 3 "$(grep -c 'partitions=12, replicas=3, min.insync.replicas=2' "$work/topics.log")"
start cardhook "$binary" serve "${config[@]}"
eventually 30 "readiness" curl -sf "http://127.0.0.1:$admin/readyz"
"$binary" send card.received --count 20 "${config[@]}" --account shop >"$work/send.log" 2>&1
timestamp=$(date +%s)
signature=$(printf '%s\n' deployTestToken01 "$timestamp" 4711 | LC_ALL=C sort | tr -d '\n' | sha1sum | cut -d' ' -f1)
equal "the answer to a push that cannot be read" success \
  "$(curl -s --data-binary 'no XML' "http://127.0.0.1:$public/wechat/shop?signature=$signature&timestamp=$timestamp&nonce=4711")"
published() { [ "$(curl -sf "http://127.0.0.1:$admin/metrics" | awk -v topic="topic=\"$1\"" '/^cardhook_published_total/ && index($0, topic) { print $NF }')" = "$2" ]; }
eventually 30 "20 events are published" published wechat.card.events 20
eventually 30 "the unreadable push is on the DLQ topic" published wechat.card.dlq 1
equal "events that tail reads as that user" 20 "$("$binary" tail "${config[@]}" --from-beginning --until-end --format json 2>"$work/tail.log" | grep -c event_id)"
"$binary" replay "${config[@]}" >"$work/replay.log" 2>&1 || fail "replay as that user"
! "$binary" topics create "${config[@]}" --set kafka.topic=private.events >"$work/private.log" 2>&1 || fail "the user may create topics"
note "ok"
