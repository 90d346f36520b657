#!/usr/bin/env bash
# A real OpenTelemetry collector takes the traces of a running cardhook. Needs Go; building the collector takes three minutes
# the first time.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "telemetry: an OpenTelemetry collector"
packages kcat curl
if [ ! -x "$tools/otelcol/otelcol" ]; then
  mkdir -p "$tools"
  GOBIN=$tools go install go.opentelemetry.io/collector/cmd/builder@v0.161.0
  (cd "$work" && "$tools/builder" --config "$project/tests/deploy/collector/builder.yaml" --output-path "$tools/otelcol" >"$work/builder.log" 2>&1) || fail "the collector was not built"
fi
otlp=$(free_port) public=$(free_port) admin=$(free_port)
cat >"$work/collector.yaml" <<YAML
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:$otlp"}}}}
exporters: {file: {path: "$work/traces.json"}}
service:
  pipelines: {traces: {receivers: [otlp], exporters: [file]}}
  telemetry: {metrics: {level: none}}
YAML
start collector "$tools/otelcol/otelcol" --config "file:$work/collector.yaml"
eventually 30 "the collector listens" curl -s "http://127.0.0.1:$otlp/"

stage "telemetry: each push is a trace of three spans"
start_kafka
configure "$work/shop" "$public" "$admin" "[\"$broker\"]"
printf '[delivery]\nanswer_after = "disk"\n' >>"$work/shop/cardhook.toml"
"$binary" topics create --config "$work/shop/cardhook.toml" --partitions 3 --replication 1 >/dev/null
start shop env "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$otlp" OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test \
  "$binary" serve --config "$work/shop/cardhook.toml"
shop=$last
eventually 30 "cardhook is ready" curl -sf "http://127.0.0.1:$admin/readyz"
"$binary" send card.received --count 100 --url "http://127.0.0.1:$public/wechat/shop" \
  --app-id wx0123456789abcdef --token-file "$work/shop/shop.token" --aes-key-file "$work/shop/shop.aes_key" >/dev/null
published() { [ "$(metric "$admin" cardhook_published_total)" = 100 ]; }
eventually 30 "100 events are published" published
# A stop sends what is left.
kill "$shop"
wait "$shop" || fail "cardhook did not stop"
read_all() { kcat -b "$broker" -t wechat.card.events -C -e -q -f '%h\n' | grep -o 'traceparent=[^,]*' | cut -d= -f2 >"$work/traceparents"; [ "$(wc -l <"$work/traceparents")" = 100 ]; }
eventually 30 "100 records have a traceparent" read_all
cat >"$work/judge.py" <<'PY'
import collections, json, sys
kinds, traces, names = {1: "internal", 2: "server", 4: "producer"}, collections.defaultdict(dict), set()
for line in open(sys.argv[1]):
    for resource in json.loads(line)["resourceSpans"]:
        attributes = {a["key"]: a["value"].get("stringValue") for a in resource["resource"]["attributes"]}
        assert attributes["service.name"] == "cardhook" and attributes["deployment.environment.name"] == "test", attributes
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                traces[span["traceId"]][kinds[span["kind"]]] = span
given = [line.strip().split("-") for line in open(sys.argv[2])]
assert len({trace for _, trace, _, _ in given}) == 100
for _, trace, parent, _ in given:
    spans = traces[trace]
    assert set(spans) == {"internal", "server", "producer"}, (trace, set(spans))
    assert spans["server"]["spanId"] == parent
    assert spans["internal"]["parentSpanId"] == spans["producer"]["parentSpanId"] == parent
print("   100 traces, each with its request, its storing and its publishing")
PY
python3 "$work/judge.py" "$work/traces.json" "$work/traceparents"
