#!/usr/bin/env python3
"""`./dev bench faults`: what the dispatcher does when endpoints die, crawl or report late, and when artifacts
are swapped under load.

    ./dev bench faults [--scale=S] [--docs]

Runs fault-bench (its --help says what S scales). Writes build/bench/faults.json; --docs the section of
docs/benchmarks.md.
"""
import argparse
import json
import subprocess
import sys

import common
from common import BIN


def section(r):
    kill, reload, select, threads = r["kill"], r["reload"], r["select"], r["threads"]
    slow = "\n".join(
        f"- One of four endpoints takes 1 s more for {x['slow_for_s']} s at 1,000 queries a second: the worst second's p99 is "
        f"{x['p99_worst_second_ms']:.1f} ms (before: {x['p99_before_ms']:.1f} ms; goal: below twice that after 10 s), readmitted "
        f"{x['readmitted_after_s']:.1f} s after it has recovered (goal 30 s)." for x in r["slow"])
    stale = "\n".join(f"| {x['select']} | {x['worst_max_over_mean_in_10s']:.2f} |" for x in r["stale"])
    return f"""## Faults

Written by `./dev bench faults --docs`. Machine: {common.cpu()}, shared with other work. Virtual clocks, but for swaps and times.

- Kill test: {kill['queries']} queries at 5,000 a second to 16 endpoints in 4 zones, one killed and one restored every 500 ms
  ({kill['kills']} times): {kill['exactly_one_answer']} have exactly one answer, {kill['answered_by_zone_or_ancestor']:.4%} by their zone or an ancestor (goal
  99.99 %), {kill['retries_per_query']:.2%} retries (goal 20 %), {kill['ejections']} ejections.
{slow}
- {reload['swaps']} swaps, ten in a row 300 ms apart and as long a pause, and {reload['refused']} damaged files, under two threads: {reload['answers']} answers,
  {reload['errors']} errors, {reload['neither_old_nor_new']} by neither the old nor the new artifact; p99 {reload['p99_ratio']:.2f} times the pauses' (goal 1.5); resident
  memory at most {reload['peak_over_one_in_memory']:.2f} artifacts (goal 2); the old one was still mapped 300 ms later {reload['old_still_mapped_after_one_pause']} times.
- Choosing among {select['endpoints']} endpoints by all five terms: {select['us']:.2f} us (goal 0.5); two threads choose {select['two_threads_times_one']:.2f} times as fast as
  one (goal 1.9). Whole queries, all through the same 64 endpoints, {threads['cpu_times_one']:.2f} times by CPU time, {threads['times_one']:.2f} by the wall.

Stale reports: 8 resolvers share 16 endpoints and hear of their load once a second, five seconds late. Most requests given to an
endpoint over the mean, in the worst 10 s (goal 1.3):

| `select` | worst |
|---|---|
{stale}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md's section")
    a = parser.parse_args()
    done = subprocess.run([str(BIN / "fault-bench"), f"--scale={a.scale}"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench faults: {done.stderr}")
    print(done.stdout)
    results = json.loads(done.stdout)
    common.OUT.mkdir(parents=True, exist_ok=True)
    (common.OUT / "faults.json").write_text(json.dumps(results, indent=1) + "\n")
    if a.docs:
        common.put_section("faults", section(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
