"""Every expression of the dashboard parses and returns data; every metric that a rule names has data.

Usage: expressions.py DASHBOARD.json RULES.yaml PROMETHEUS_URL
"""
import json
import re
import sys
import time
import urllib.parse
import urllib.request

import promql_parser
import yaml

dashboard_file, rules_file, prometheus = sys.argv[1:]


def expressions(node):
    """All values of the key `expr` below a node."""
    if isinstance(node, dict):
        found = [node["expr"]] if "expr" in node else []
        return found + [expr for value in node.values() for expr in expressions(value)]
    if isinstance(node, list):
        return [expr for value in node for expr in expressions(value)]
    return []


def results(query):
    url = prometheus + "/api/v1/query?" + urllib.parse.urlencode({"query": query})
    return len(json.load(urllib.request.urlopen(url))["data"]["result"])


def filled(expr):
    """A dashboard's expression with Grafana's variables replaced."""
    expr = expr.replace("$__rate_interval", "20s").replace("$__range", "1m")
    return re.sub(r'"\$\w+"', '".+"', expr)


dashboard = [filled(expr) for expr in expressions(json.load(open(dashboard_file)))]
rules = expressions(yaml.safe_load(open(rules_file)))
names = sorted({name for expr in rules for name in re.findall(r"\b(?:cardhook|process)_\w+|\bup\b", expr)})
assert len(dashboard) > 25 and len(names) > 12, (len(dashboard), names)
for expr in dashboard + rules:
    promql_parser.parse(expr)
# An annotation shows what seldom happens: it may be empty.
queries = [expr for expr in dashboard if not expr.startswith("changes(process_start_time_seconds")] + names
end = time.monotonic() + 60
while True:
    empty = [query for query in queries if results(query) == 0]
    if not empty or time.monotonic() > end:
        break
    time.sleep(1)
for query in empty:
    print("no data:", query)
print(f"   {len(dashboard)} expressions of the dashboard, {len(names)} metrics of the rules")
sys.exit(bool(empty))
