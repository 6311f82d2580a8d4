#!/usr/bin/env python3
"""`./dev bench`: accuracy, build time and size on the routing sets, and time per query beside fastText.

Needs ../shared/data/routing (see its README for what the sets are); says so and stops where it is
absent. Prints a table and writes build/bench/bench.json. With --docs, rewrites docs/benchmarks.md from
what it measured. Times are ratios against the peer of the same run; the absolute ones only orient.
"""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/release/bin"
DATA = pathlib.Path(os.environ.get("SEMDNS_DATA", ROOT.parent / "shared/data")) / "routing"
OUT = ROOT / "build/bench"

# set, root label, goal for in-scope best_path accuracy without an encoder
SETS = [("clinc150", "oos", 91.0), ("banking77", None, 89.0), ("hwu64", None, 88.0)]


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


def cpu():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def percent(part):
    return 100.0 * part


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
        run(*command)
        seconds = time.monotonic() - begin
        quality = json.loads(run(*evaluate))
        bench = json.loads(run(BIN / "bench-artifact", artifact, f"--queries={DATA}/{name}.test.jsonl", "--json"))
        entry = {"goal": goal, "build_seconds": round(seconds, 1), "bytes": artifact.stat().st_size,
                 "quality": quality, "bench": bench}
        peer = ROOT / "build/release/bin/peer-bench"
        if peer.exists():
            entry["peer"] = json.loads(run(peer, artifact, f"{DATA}/{name}.train.jsonl", f"{DATA}/{name}.test.jsonl"))
        results["sets"][name] = entry
        print(f"{name}: done in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return results


def table(results):
    lines = [
        "| set | in-scope `best_path` | goal | build | artifact | ns/query p50 / p99 | fastText ns p50 | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, e in results["sets"].items():
        accuracy = percent(e["quality"]["best_path_accuracy"]["value"])
        peer = e.get("peer")
        ns = peer["semdns_ns"] if peer else e["bench"]["ns_per_query"]
        lines.append(
            f"| {name} | {accuracy:.1f} % | {e['goal']:.0f} % | {e['build_seconds']:.0f} s | "
            f"{e['bytes'] / 1e6:.1f} MB | {ns['p50']:.0f} / {ns['p99']:.0f} | "
            + (f"{peer['fasttext_ns']['p50']:.0f} | {peer['speedup_p50']:.1f}x |" if peer else "not installed | |"))
    return "\n".join(lines)


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
    print(table(results))
    if arguments.docs:
        (ROOT / "docs/benchmarks.md").write_text(
            "# Benchmarks\n\nWritten by `./dev bench --docs`; do not edit.\n\n"
            f"Machine: {results['cpu']}, one thread, cache off, distinct queries, each with the fastest of 15\n"
            "repeats. Peer: fastText 0.9.2 (Debian), word 2-grams, in the same process and run\n"
            "(`test/perf/peer_bench.cpp`). Data: `../shared/data/routing`, trained on `train`, measured on `test`,\n"
            "no encoder. Accuracy counts in-scope rows whose `best_path` is exactly the label.\n\n"
            + table(results) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
