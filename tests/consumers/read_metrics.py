"""Reads both texts of /metrics with Prometheus's own Python library.

Argument: the admin listener, `127.0.0.1:9090`. Prints a JSON line for each text:
{"content_type": …, "types": {family: type}, "samples": {"name{label=value,…}": number}}.
"""

import json
import sys
from urllib.request import Request, urlopen

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

for accept, parse in (("application/openmetrics-text; version=1.0.0", openmetrics), ("text/plain", prometheus)):
    with urlopen(Request(f"http://{sys.argv[1]}/metrics", headers={"Accept": accept})) as answer:
        content_type, text = answer.headers["Content-Type"], answer.read().decode()
    families = list(parse(text))
    samples = {}
    for sample in (sample for family in families for sample in family.samples):
        labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        key = f"{sample.name}{{{labels}}}"
        assert key not in samples, f"{key} twice"
        samples[key] = sample.value
    types = {family.name: family.type for family in families}
    print(json.dumps({"content_type": content_type, "types": types, "samples": samples}))
