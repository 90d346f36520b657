#!/usr/bin/env bash
# The compose file, walked as deploy/README.md says: built, configured, started; events to the topic and back; Kafka away and back;
# taken down and up again. In place of apache/kafka's image stands one of Apache Kafka's jars, configured by the class that configures that one.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "compose: static checks"
source "$project/tests/deploy/images.sh"
# dnsname and dnsmasq: containers find each other by name.
packages podman-compose containernetworking-plugins golang-github-containernetworking-plugin-dnsname dnsmasq-base iptables
[ -x "$tools/venv/bin/check-jsonschema" ] || { python3 -m venv "$tools/venv"; "$tools/venv/bin/pip" install -q --disable-pip-version-check -r "$project/tests/deploy/requirements.txt"; }
"$tools/venv/bin/check-jsonschema" --builtin-schema vendor.compose-spec "$project/deploy/compose/compose.yaml"

# The image that the compose file names, with what its own has: the user, the folders, where the configuration goes, and its entry point's two steps.
build_kafka() { # NAME
  "$project/tests/kafka/fetch.sh" >/dev/null
  local root=$work/kafka-image java
  java=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
  mkdir -p "$root"/{opt/kafka/config,etc/kafka/docker,mnt/shared/config,var/lib/kafka/data,tmp}
  jlink --module-path "$java/jmods" --add-modules java.se,jdk.unsupported,jdk.management --strip-debug --no-man-pages --output "$root/opt/java"
  cp -r "$project/tests/kafka/libs" "$project/tests/kafka/log4j2.properties" "$root/opt/kafka/"
  copy_programs "$root" /bin/bash /bin/grep
  for library in "$root"/opt/java/bin/java "$root"/opt/java/lib/lib*.so "$root"/opt/java/lib/server/libjvm.so; do copy_libraries "$root" "$library" 2>/dev/null || true; done
  cat >"$root/opt/kafka/run" <<'RUN'
#!/usr/bin/bash
java=(/opt/java/bin/java -Xmx512m -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -Dkafka.logs.dir=/tmp -cp "/opt/kafka/libs/*")
export CLUSTER_ID=${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}
said=$("${java[@]}" kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \
  --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) || grep -i "already formatted" <<<"$said" || { echo "$said"; exit 1; }
exec "${java[@]}" kafka.Kafka /opt/kafka/config/server.properties
RUN
  chmod +x "$root/opt/kafka/run"
  touch "$root"/etc/kafka/docker/{server.properties,log4j2.yaml,tools-log4j2.yaml}
  printf 'root:x:0:0::/:/usr/bin/bash\nappuser:x:1000:1000::/tmp:/usr/bin/bash\n' >"$root/etc/passwd"
  chmod 1777 "$root/tmp"
  chown -R 1000:1000 "$root"/opt/kafka "$root"/var/lib/kafka
  tar -C "$root" -c . | pod import -q --change USER=appuser --change VOLUME=/var/lib/kafka/data --change 'CMD=["/opt/kafka/run"]' - "$1" >/dev/null
}

stage "compose: images"
build_cardhook
build_kafka "$(awk '$1 == "image:" && /kafka/ { print $2 }' "$project/deploy/compose/compose.yaml")"

stage "compose: configured by init, and up"
port=$(free_port)
mkdir "$work/compose"
cd "$work/compose"
# The port is another one, because this machine's 8080 may be in use.
sed "s|127.0.0.1:8080:8080|127.0.0.1:$port:8080|" "$project/deploy/compose/compose.yaml" >compose.yaml
# Without -p podman-compose 1.0 takes the folder for the name, not the one that the file says.
compose() { podman-compose -p cardhook -f compose.yaml "$@"; }
# podman-compose 1.0 runs this for `exec cardhook`, and loses the exit code.
inside() { pod exec cardhook_cardhook_1 cardhook "$@" --config /etc/cardhook/cardhook.toml 2>>"$work/inside.log"; }
after_all() {
  for service in kafka topics cardhook; do pod logs "cardhook_${service}_1" >"$work/$service.log" 2>&1; done
  ((code == 0)) || tail -n 40 "$work"/{kafka,topics,cardhook,compose,inside}.log
  compose down -v -t 1 >/dev/null 2>&1
  pod network rm -f cardhook_default >/dev/null 2>&1
  unmount_images
}
install -d -m 0700 -o 65532 config
pod run --rm -v "$PWD/config:/etc/cardhook" cardhook init --dir /etc/cardhook --account shop --app-id wx0123456789abcdef --brokers kafka:9092 --yes >"$work/init.log"
compose up -d >"$work/compose.log" 2>&1
eventually 30 "cardhook is ready" inside health
checked() { inside check --connect; }
eventually 60 "check --connect finds nothing wrong" checked

stage "compose: events to the topic and back"
on_topic() { inside tail --from-beginning --until-end --format json | grep -o '"event_id":"[^"]*"' | sort -u | wc -l; }
topic_has() { [ "$(on_topic)" = "$1" ]; }
send() {
  "$binary" send card.received --count "$1" --url "http://127.0.0.1:$port/wechat/shop" --app-id wx0123456789abcdef \
    --token-file config/shop.token --aes-key-file config/shop.aes_key >"$work/send.log" 2>&1
}
send 20
inside send card.received --count 5 --account shop >/dev/null
eventually 30 "25 events on the topic" topic_has 25

stage "compose: Kafka stopped, 30 events, Kafka started"
compose stop kafka >>"$work/compose.log" 2>&1
send 30
equal "events that wait" 30 "$(inside spool export | grep -c event_id)"
compose start kafka >>"$work/compose.log" 2>&1
eventually 60 "55 events on the topic" topic_has 55

stage "compose: down with 10 events in the spool, and up"
compose stop kafka >>"$work/compose.log" 2>&1
send 10
compose down >>"$work/compose.log" 2>&1
equal "containers that are left" "" "$(pod ps -aq)"
compose up -d >>"$work/compose.log" 2>&1
eventually 90 "65 events on the topic" topic_has 65
checked >/dev/null || fail "check --connect after down and up"
note "ok"
