"""Every scenario holds, runs twice alike and is what docs/dispatch.md names; what must fail, fails as it
should.

    run.py REPLAY_SCENARIO FOLDER DISPATCH_MD
"""
import os
import re
import subprocess
import sys

tool, folder, manual = sys.argv[1:4]
failures = []


def run(name, *options):
    return subprocess.run([tool, *options, os.path.join(folder, name)], capture_output=True, text=True, timeout=120)


names = sorted(name for name in os.listdir(folder) if name.endswith(".scn"))
if len(names) < 60:
    failures.append(f"only {len(names)} scenarios")
for name in names:
    first, second = run(name, "--trace"), run(name, "--trace")
    if first.returncode or "0 failed" not in first.stdout:
        failures.append(f"{name}: exit {first.returncode}\n{first.stderr}")
    if first.stdout != second.stdout:
        failures.append(f"{name}: two runs differ")
    if ", 0 checks" in first.stdout:
        failures.append(f"{name}: checks nothing")

with open(manual, encoding="utf-8") as file:
    for name in re.findall(r"`(\w+\.scn)`", file.read()):
        if name not in names:
            failures.append(f"docs/dispatch.md names {name}, which is not there")

for name, code, words in (
        ("bad/check_fails.scn", 3, ":6:16: error: check failed: status: expected 'ROUTED', found 'NOENGINE'"),
        ("bad/bad_line.scn", 1, ":4:8: error: unknown verb 'QEURY'"),
        ("bad/no_end.scn", 1, ":4:1: error: the block has no END"),
        ("bad/cache_too_small.scn", 1, ":5:1: error: cache_bytes = 100 is less than one entry takes: give at least"),
        ("bad/absent.scn", 1, "cannot read")):
    result = run(name)
    if result.returncode != code or words not in result.stderr:
        failures.append(f"{name}: exit {result.returncode}, wanted {code} and {words!r}\n{result.stderr}")

print("\n".join(failures) or f"{len(names)} scenarios hold")
sys.exit(1 if failures else 0)
