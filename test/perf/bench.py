#!/usr/bin/env python3
"""`./dev bench`: accuracy, build time and size on the routing sets, and time per query beside fastText.

Needs ../shared/data/routing (see its README for what the sets are); says so and stops where it is
absent. Prints a table and writes build/bench/bench.json. With --docs, rewrites docs/benchmarks.md from
what it measured. Times are ratios against the peer of the same run; the absolute ones only orient.
"""
import argparse
import json
import os
import re
import sys
import time

import common
from common import BIN, PAGE, cpu, run, run_json

DATA = common.DATA / "routing"
OUT = common.OUT

# set, root label, goal for in-scope best_path accuracy without an encoder
SETS = [("clinc150", "oos", 91.0), ("banking77", None, 89.0), ("hwu64", None, 88.0)]


def measure():
    results = {"cpu": cpu(), "sets": {}}
    for name, root_label, goal in SETS:
        artifact = OUT / f"{name}.sdna"
        command = [BIN / "build-hierarchy", f"--from-examples={DATA}/{name}.train.jsonl", "-o", artifact, "-f"]
        evaluate = [BIN / "evaluate-hierarchy", artifact, f"--queries={DATA}/{name}.test.jsonl", "--json"]
        if root_label:
            command.append(f"--root-label={root_label}")
            evaluate.append(f"--root-label={root_label}")
        begin = time.monotonic()
        run(command)
        seconds = time.monotonic() - begin
        quality = run_json(evaluate)
        bench = run_json([BIN / "bench-artifact", artifact, f"--queries={DATA}/{name}.test.jsonl", "--json"])
        entry = {"goal": goal, "build_seconds": round(seconds, 1), "bytes": artifact.stat().st_size,
                 "quality": quality, "bench": bench}
        peer = BIN / "peer-bench"
        if peer.exists():
            entry["peer"] = run_json([peer, artifact, f"{DATA}/{name}.train.jsonl", f"{DATA}/{name}.test.jsonl"])
        results["sets"][name] = entry
        print(f"{name}: done in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return results


def rate(entry, key):
    value = entry["quality"][key]["value"]
    return "-" if value is None else f"{100 * value:.1f} %"


def accuracy_table(results):
    lines = [
        "| set | test rows | in-scope `best_path` | goal | misroute | coverage | out of scope kept at the root | all rows: `path` | fastText |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, e in results["sets"].items():
        lines.append(
            f"| {name} | {e['quality']['rows']} | {rate(e, 'best_path_accuracy')} | {e['goal']:.0f} % | "
            f"{rate(e, 'misroute')} | {rate(e, 'coverage')} | {rate(e, 'oos_recall')} | "
            f"{rate(e, 'path_accuracy_all_rows')} | "
            + (f"{100 * e['peer']['fasttext_accuracy_all_rows']:.1f} % |" if "peer" in e else "not installed |"))
    return "\n".join(lines)


def time_table(results):
    lines = [
        "| set | build | artifact | ns a query p50 / p99 | fastText ns p50 / p99 | ratio of p50 | allocations |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, e in results["sets"].items():
        peer = e.get("peer")
        ns = peer["semdns_ns"] if peer else e["bench"]["ns_per_query"]
        theirs = peer["fasttext_ns"] if peer else None
        allocations = e["bench"]["allocations_per_query"]
        lines.append(
            f"| {name} | {e['build_seconds']:.0f} s | {e['bytes'] / 1e6:.1f} MB | "
            f"{ns['p50']:.0f} / {ns['p99']:.0f} | "
            + (f"{theirs['p50']:.0f} / {theirs['p99']:.0f} | {peer['speedup_p50']:.1f} | " if peer
               else "not installed | | ")
            + ("not counted |" if allocations is None else f"{allocations:g} |"))
    return "\n".join(lines)


def level_table(results):
    names = list(results["sets"])
    levels = []
    for e in results["sets"].values():
        levels += [level for level in e["bench"]["isas"] if level not in levels]
    lines = ["| kernel | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for level in levels:
        cells = []
        for e in results["sets"].values():
            m = e["bench"]["isas"].get(level)
            cells.append(f"{m['ns_per_query']['p50']:.0f} / {m['ns_per_query']['p99']:.0f}" if m else "")
        lines.append(f"| {level} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(results):
    return f"""# Benchmarks

Written by `./dev bench --docs`, each further section by the `./dev bench NAME --docs` that it names; do not
edit.

Machine: {results['cpu']}, {os.cpu_count()} cores. Data: `../shared/data/routing`, built with
`build-hierarchy --from-examples=SET.train.jsonl` (clinc150 with `--root-label=oos`), default options, no
encoder; measured on `SET.test.jsonl`, which is part of the published training or validation data, not
the published test split. The trainer's constants were chosen by measurement on these sets, and it is not on
record that no test row took part in it: take the accuracies as possibly a little optimistic.

## Accuracy

`best_path` counts in-scope rows whose deepest best guess is exactly the label. Misroute: the answer,
after climbing, is neither the true zone nor one of its ancestors. Coverage: the answer is at least as
deep as the label. The last two columns count rows answered exactly by their label, out-of-scope rows by
the root: semdns after climbing (it abstains), fastText by its first guess (it never abstains; 25
epochs, learning rate 0.5, out-of-scope rows are a class like any other).
A tenth of the examples (at most 750) sets the thresholds and trains nothing.

{accuracy_table(results)}

## Time and size

One pinned thread, cache off, distinct queries, each counted with its fastest repeat. Peer: fastText
0.9.2 (Debian), word 2-grams, 100 dimensions, in the same process and run (`test/perf/peer_bench.cpp`);
passes alternate, so each begins with the other's data in the caches. Absolute times hold for this machine only; the ratio travels better.

{time_table(results)}

Per kernel level, nanoseconds p50 / p99 (`bench-artifact`, fastest of up to 25 passes):

{level_table(results)}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true", help="rewrite docs/benchmarks.md")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(f"bench: skipped, no data at {DATA} (set SEMDNS_DATA)")
        return 0
    OUT.mkdir(parents=True, exist_ok=True)
    results = measure()
    (OUT / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
    print(accuracy_table(results), time_table(results), level_table(results), sep="\n\n")
    if arguments.docs:
        page = PAGE.read_text() if PAGE.exists() else ""
        kept = re.findall(r"(<!-- (\w+): begin -->.*?<!-- \2: end -->\n)", page, re.S)  # other scripts' sections
        PAGE.write_text("\n".join([report(results), *(section for section, _ in kept)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
