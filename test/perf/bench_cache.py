#!/usr/bin/env python3
"""`./dev bench cache`: what the dispatcher's cache is worth, and whether it is right.

    ./dev bench cache [--artifact=FILE] [--queries=N] [--docs]

Runs cache-bench (its --help is the head of test/perf/cache_bench.cpp): an exact hit against stages 1 and
2 of the same texts, two threads against one, hit ratios beside LRU's and the optimum's, a stampede,
100,000 entries of one age, near-duplicates over 100 scopes, and --queries (20 M) queries against
memoised answers. FILE: an artifact of clinc150, with stage 3 if its texts are to need it; without, one is
built of clinc150 without. Writes build/bench/cache.json; --docs the section of docs/benchmarks.md.

Needs ../shared/data; says so and stops where it is absent.
"""
import argparse
import json
import subprocess
import sys

import common
from common import BIN, DATA, run

SETS = [DATA / "routing/clinc150.train.jsonl", DATA / "routing/clinc150.test.jsonl"]


def bench(mode, *options):
    """The lines of one mode; a finding (exit 1) is shown as it is."""
    done = subprocess.run([str(BIN / "cache-bench"), mode, *map(str, options)], capture_output=True, text=True)
    if done.returncode > 1:
        sys.exit(f"bench cache: {done.stderr}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        print(json.dumps(line), flush=True)
    return lines


def soak_line(x):
    shares = " / ".join(f"{n / x['queries']:.0%}" for n in x["stages"])
    return (f"- Soak, {x['artifact']}: {x['queries'] / 1e6:.0f} M queries, {shares} of stages 1 / 2 / 3, {x['distinct'][2]} distinct texts of "
            f"stage 3, {x['scopes']} scopes, {x['virtual_s']} virtual seconds: {x['different']} differences, resident memory grows by "
            f"{x['growth_bytes']} bytes after the first million, stage 3 ran {x['encoded']} times.")


def section(r):
    hit, two, storm, expiry, twins = r["hit"][0], r["threads"][0], r["stampede"][0], r["expiry"][0], r["twins"][0]
    whole = r["threads"][1]
    ratios = "\n".join(
        f"| {x['trace']} | {x['capacity']} | {x['s3_fifo']:.3f} | {x['lru']:.3f} | {x['optimum']:.3f} |" for x in r["ratio"])
    soaks = "\n".join(soak_line(x) for x in r["soak"])
    return f"""## Cache

Written by `./dev bench cache --docs`. Machine: {common.cpu()}.

- An exact hit takes {hit['hit_ns']:.0f} ns, {hit['ratio']:.2f} of stages 1 and 2 of the same texts ({hit['resolve_ns']:.0f} ns; goal 0.25); with
  a ticket's whole life {hit['ticket_ns']:.0f} ns. Turns of 250 queries, medians.
- Two threads have {two['cpu_ratio']:.2f} times one's hits a second of CPU time (goal 1.9) and {whole['cpu_ratio']:.2f} times its tickets; by the
  wall of a machine that other work may share, {two['wall_ratio']:.2f} and {whole['wall_ratio']:.2f}.
- Stampede: {storm['queries']} queries of one text in {storm['scopes']} scopes, all begun before any is decided: {storm['classifications']} runs of stage 3; in
  four threads that classify where they begin: {storm['in_threads']['classifications']}.
- {expiry['entries']} entries made together, asked for every {expiry['bucket_s']} s: renewed over {expiry['to_s'] - expiry['from_s']} s with a peak of {expiry['peak_over_mean']:.2f} times that time's
  mean (goal 2), {expiry['peak_over_mean_of_all_time']:.1f} times the mean of all time; without jitter {expiry['without_jitter_per_s'] / expiry['peak_per_s']:.0f} times as high.
- Near-duplicates: {twins['pairs']} pairs over {twins['scopes']} scopes: {twins['false_hits']} false, {twins['foreign_hits']} foreign hits, {twins['different_answers']} answers other than
  uncached.
{soaks}

Hit ratio of the store itself (S3-FIFO, adaptive), of LRU, and of the optimum that knows the future, at
equal numbers of entries. `blocks`: Mooncake's prefix blocks, in whose view the adaptation's constants were
chosen; `prompts-zipf`: prompts drawn with Zipf's weights.

| trace | entries | ours | LRU | optimum |
|---|---|---|---|---|
{ratios}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", help="of clinc150 (default: built without an encoder)")
    parser.add_argument("--queries", type=int, default=20000000, help="of each soak (default 20 M)")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md's section")
    a = parser.parse_args()
    if not DATA.is_dir():
        print(f"bench cache: skipped, no data at {DATA} (set SEMDNS_DATA)")
        return 0
    artifact = a.artifact
    if not artifact:
        common.OUT.mkdir(parents=True, exist_ok=True)
        artifact = common.OUT / "cache.sdna"
        run([BIN / "build-hierarchy", f"--from-examples={SETS[0]}", "--root-label=oos", "-o", artifact, "-f"])
    of, test = f"--artifact={artifact}", f"--texts={SETS[1]}"
    results = {"hit": bench("hit", of, test), "threads": bench("threads", of, test),
               "ratio": bench("ratio", f"--trace={DATA}/traces/mooncake-conversation.jsonl",
                              f"--prompts={DATA}/prompts/instructions-unlabelled.jsonl"),
               "stampede": bench("stampede"), "expiry": bench("expiry", of), "twins": bench("twins", of),
               "soak": bench("soak", f"--queries={a.queries}")}
    if a.artifact:
        results["soak"] += bench("soak", f"--queries={a.queries}", of, *(f"--texts={s}" for s in SETS))
    for soak in results["soak"]:
        soak["artifact"] = "a random artifact" if soak["artifact"] == "random" else "clinc150"
    (common.OUT).mkdir(parents=True, exist_ok=True)
    (common.OUT / "cache.json").write_text(json.dumps(results, indent=1) + "\n")
    if a.docs:
        common.put_section("cache", section(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
