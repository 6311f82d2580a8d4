#!/usr/bin/env python3
"""`./dev bench trees`: trees of 64 to 65,536 zones, WordNet's nouns (test/perf/wordnet.py has the protocol).

    ./dev bench trees [--sizes=64,1024] [--docs]

For each size: build-hierarchy, its time and memory; accuracy on example sentences that were not trained
on; time per query of stages 1 and 2. Times are taken in rounds that visit every size, the fastest round
counting, and compared with those of the smallest tree in the same run. Prints a table and writes
build/bench/trees.json; --docs writes the section of docs/benchmarks.md. Needs apt-get's network once.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import wordnet
from common import BIN, OUT, cpu, put_section, run, run_json, say

ROUNDS = 3


def build(rows, artifact, jobs):
    begin = time.monotonic()
    child = subprocess.Popen([BIN / "build-hierarchy", f"--from-examples={rows['train']}", "-q", "-f", f"-j{jobs}",
                              f"--calibration={rows['calibration']}", "-o", artifact],
                             stderr=subprocess.PIPE, text=True)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"bench: building {artifact} failed\n{said[-4000:]}")
    return {"build_seconds": time.monotonic() - begin, "build_megabytes": usage.ru_maxrss / 1024,
            "file_megabytes": artifact.stat().st_size / 1e6}


def labels(path):
    return [] if path in ("", "/") else path.split("/")


def shared(a, b):
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count


def accuracy(artifact, file):
    """Shares of the rows. `partial`: hierarchical F1 of the best guess, 2 * shared labels / labels of both,
    on average. `depth`: of a right answer, how much of the true path it gives."""
    rows = [json.loads(line) for line in open(file, encoding="utf-8")]
    said = run([BIN / "resolve-query", f"@{artifact}", "--input", file, "--json"])
    total = {"best": 0, "partial": 0, "answered": 0, "misrouted": 0, "depth": 0}
    for row, line in zip(rows, said.splitlines(), strict=True):
        answer = json.loads(line)
        true, best, zone = labels(row["label"]), labels(answer["best_path"]), labels(answer["path"])
        right = shared(true, zone) == len(zone)
        total["best"] += best == true
        total["partial"] += 2 * shared(true, best) / (len(true) + len(best))
        total["answered"] += bool(zone)
        total["misrouted"] += not right
        total["depth"] += len(zone) / len(true) if right else 0
    return {"rows": len(rows), **{key: value / len(rows) for key, value in total.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, wordnet.SIZES)))
    parser.add_argument("--jobs", type=int, default=2, help="threads of a build (2)")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md's section")
    a = parser.parse_args()
    sizes = sorted(int(size) for size in a.sizes.split(","))
    files = wordnet.write(OUT / "wordnet", sizes)
    results = {"cpu": cpu(), "sizes": {}}
    artifacts = {size: OUT / f"wordnet-{size}.sdna" for size in sizes}
    for size in sizes:
        rows = {part: files[size, part] for part in wordnet.PARTS}
        entry = build(rows, artifacts[size], a.jobs)
        entry["accuracy"] = accuracy(artifacts[size], rows["test"])
        shape = run_json([BIN / "inspect-artifact", artifacts[size], "--json"])
        entry["zones"], entry["beam"] = shape["zone_count"], shape["stages"]["embedding"].get("beam")
        entry["risk"] = {key: value for key, value in shape["meta"].items() if key.startswith("risk.")
                         and key != "risk.sequence"}
        results["sizes"][size] = entry
        say(size, "zones:", json.dumps(entry))
    for _ in range(ROUNDS):
        for size in sizes:
            took = run_json([BIN / "bench-artifact", artifacts[size], f"--queries={files[size, 'test']}", "--json",
                             "--stages=1,2"])["ns_per_query"]
            entry = results["sizes"][size]
            entry["time"] = min(entry.get("time", took), took, key=lambda t: t["p50"])
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "trees.json").write_text(json.dumps(results, indent=1) + "\n")
    text = section(results)
    print(text)
    if a.docs:
        put_section("trees", text)


def section(results):
    sizes = results["sizes"]
    first = next(iter(sizes.values()))
    lines = [
        "## Big trees", "",
        "Written by `./dev bench trees --docs`. WordNet 3.0's nouns (Debian `wordnet-base`), the same texts cut to "
        "trees of different sizes; [test/perf/wordnet.py](../test/perf/wordnet.py) has the protocol. Asked: example "
        "sentences, which mention a word of their synset and seldom say what it means; nothing like them is trained "
        "on. `best`: the deepest best guess is exactly the label. `partial`: its hierarchical F1, 2 x shared labels / "
        "labels of both, on average. Answered and misrouted: at the thresholds that calibration on sentences of other "
        "synsets has set for 5 %. Time: stages 1 and 2, p50 / p99 of distinct queries, one pinned thread, the fastest "
        f"of {ROUNDS} rounds over all sizes. Machine: {results['cpu']}.", "",
        "| zones | search | best | partial | answered | misrouted | ns a query | p50 ratio | artifact | build | memory |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in sizes.values():
        acc, beam, took = entry["accuracy"], entry["beam"], entry["time"]
        way = f"{beam['levels']} levels, {beam['nodes']} nodes, {beam['width']} followed" if beam else "all classes"
        lines.append(
            f"| {entry['zones'] - 1:,} | {way} | {100 * acc['best']:.1f} % | {100 * acc['partial']:.1f} % | "
            f"{100 * acc['answered']:.1f} % | {100 * acc['misrouted']:.1f} % | {took['p50']:.0f} / "
            f"{took['p99']:.0f} | {took['p50'] / first['time']['p50']:.1f} | {entry['file_megabytes']:.1f} MB | "
            f"{entry['build_seconds']:.0f} s | {entry['build_megabytes']:.0f} MB |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
