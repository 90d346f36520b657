"""nginx's configuration with what ingress.yaml says, where ingress-nginx's template puts it. Its balancer is Lua's consistent hash;
nginx's own `hash … consistent` stands for it. Arguments: ingress.yaml, port, the tests' folder, the replicas' ports."""

import sys

import yaml

file, port, work, *replicas = sys.argv[1:]
ingress = yaml.safe_load(open(file))
said = {key.removeprefix("nginx.ingress.kubernetes.io/"): value for key, value in ingress["metadata"]["annotations"].items()}
assert said.pop("ssl-redirect") == said.pop("enable-access-log") == "false"
[path] = ingress["spec"]["rules"][0]["http"]["paths"]
assert path["pathType"] == "Prefix", path
print(f"""
events {{}}
http {{
  access_log off;
  upstream cardhook {{
    hash {said.pop("upstream-hash-by")} consistent;
    {" ".join(f"server 127.0.0.1:{replica};" for replica in replicas)}
  }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {work}/tls/fullchain.pem;
    ssl_certificate_key {work}/tls/privkey.pem;
    location {path["path"]} {{
      client_max_body_size {said.pop("proxy-body-size")};
      proxy_connect_timeout {said.pop("proxy-connect-timeout")}s;
      proxy_send_timeout {said.pop("proxy-send-timeout")}s;
      proxy_read_timeout {said.pop("proxy-read-timeout")}s;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_http_version 1.1;
      proxy_pass http://cardhook;
    }}
  }}
}}""")
assert not said, f"not placed: {said}"
