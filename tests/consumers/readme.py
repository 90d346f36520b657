"""Runs the Python lines of the README as they stand there, but for the broker's address.

Argument: bootstrap. Prints what those lines print.
"""

import re
import sys
from pathlib import Path

SHOWN = "127.0.0.1:9092"

readme = Path(__file__).parents[2] / "README.md"
marker = re.escape("<!-- tests/consumers/readme.py -->\n```python\n")
lines = re.search(marker + "(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)[1]
assert lines.count(SHOWN) == 1, "the README's lines name one broker"
exec(compile(lines.replace(SHOWN, sys.argv[1]), str(readme), "exec"))
