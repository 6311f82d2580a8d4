#!/usr/bin/env python3
"""Queries that belong to two domains, made of routing rows, and how well artifacts route them.

    test/perf/pairs.py make ROWS.jsonl -o PAIRS.jsonl [--seed=1] [--rows=2000] [--root-label=oos]
    test/perf/pairs.py bench [--data=DIR] [--bin=DIR] [--set=clinc150 ...]

make: half of the rows are single queries, half are two queries of different top zones, drawn without
replacement as far as there are rows, in random order, joined by one of CONNECTORS in turn; the first
one loses its final dot or question mark where the connector would follow it. Rows of the root label
are left out. Output rows have "labels": one or two paths.

bench: for each set, trains on 85 % of its train rows, makes pairs of the other 15 %, and chooses each
rule's threshold there by F1; then trains on all train rows, makes pairs of test, and reports
precision, recall, F1 and exact sets at those thresholds (evaluate-hierarchy --multi). Markdown on
stdout. The same seed gives the same pairs on every machine.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONNECTORS = (" and also ", ". ", ", ", "; ", " and ", "? ", " plus ", "\n")
SETS = {"clinc150": "oos", "hwu64": None, "seed-domains": None}


def read(path):
    with open(path, encoding="utf-8", newline="\n") as rows:
        return [json.loads(line) for line in rows if line.strip()]


def top(label):
    return label.split("/")[0]


def make(rows, count, seed, root_label):
    rows = [row for row in rows if row["label"] not in (root_label, "/")]
    random.Random(f"rows {seed}").shuffle(rows)
    rng = random.Random(f"pairs {seed}")
    if len({top(row["label"]) for row in rows}) < 2:
        sys.exit("pairs.py: rows of one top zone only: no pairs can be made")
    count = min(count, 2 * (len(rows) // 3))
    singles = count // 2
    out = [{"text": row["text"], "labels": [row["label"]]} for row in rows[:singles]]
    rest = rows[singles:]
    for i in range(count - singles):
        if len(rest) < 2:
            break
        first = rest.pop()
        at = next((k for k in range(len(rest) - 1, -1, -1) if top(rest[k]["label"]) != top(first["label"])), None)
        if at is None:
            break
        second = rest.pop(at)
        connector = CONNECTORS[i % len(CONNECTORS)]
        text = first["text"] if connector == "\n" else first["text"].rstrip(" .?!")
        out.append({"text": text + connector + second["text"], "labels": [first["label"], second["label"]]})
    rng.shuffle(out)
    return out


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def bench(data, binaries, sets, rows, seed):
    print("| set | level | rule | t | precision | recall | F1 | exact set | two labels: exact | one label: exact "
          "| resolves |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for name in sets:
        root_label = SETS.get(name)
        train, test = read(data / f"{name}.train.jsonl"), read(data / f"{name}.test.jsonl")
        order = list(range(len(train)))
        random.Random(f"split {seed}").shuffle(order)
        held = set(order[:len(train) * 15 // 100])
        with tempfile.TemporaryDirectory(prefix="semdns-pairs-") as folder:
            folder = pathlib.Path(folder)

            def measure(examples, source):
                write(folder / "examples.jsonl", examples)
                write(folder / "pairs.jsonl", make(source, rows, seed, root_label))
                extra = [f"--root-label={root_label}"] if root_label else []
                run(binaries / "build-hierarchy", f"--from-examples={folder}/examples.jsonl", *extra, "-q",
                    "--targets=x86-64-v3", "-o", folder / "a.sdna", "-f")
                return json.loads(run(binaries / "evaluate-hierarchy", folder / "a.sdna", "-i", folder / "pairs.jsonl",
                                      "--multi", "--json"))["multi"]

            chosen = measure([r for i, r in enumerate(train) if i not in held],
                             [r for i, r in enumerate(train) if i in held])
            found = measure(train, test)
        for level in ("top", "path"):
            two = found[level]["at"][1]
            s = two["all"]
            print(f"| {name} | {level} | first two listed | | {100 * s['precision']['value']:.1f} | "
                  f"{100 * s['recall']['value']:.1f} | {s['f1']:.3f} | {100 * s['exact']['value']:.1f} | "
                  f"{100 * two['several']['exact']['value']:.1f} | | 1.0 |")
            for rule, learnt in chosen[level]["rules"].items():
                t = learnt["best_threshold"]
                point = next(p for p in found[level]["rules"][rule]["points"] if p["threshold"] == t)
                s = point["all"]
                print(f"| {name} | {level} | {rule} | {t:.2f} | {100 * s['precision']['value']:.1f} | "
                      f"{100 * s['recall']['value']:.1f} | {s['f1']:.3f} | {100 * s['exact']['value']:.1f} | "
                      f"{100 * point['several']['exact']['value']:.1f} | {100 * point['single']['exact']['value']:.1f} | "
                      f"{found[level]['rules'][rule]['resolves']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make")
    making.add_argument("source")
    making.add_argument("-o", "--output", required=True)
    making.add_argument("--root-label", default="oos")
    benching = verbs.add_parser("bench")
    benching.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data/routing")
    benching.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    benching.add_argument("--set", action="append", choices=sorted(SETS))
    for verb in (making, benching):
        verb.add_argument("--seed", type=int, default=1)
        verb.add_argument("--rows", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.verb == "make":
        write(arguments.output, make(read(arguments.source), arguments.rows, arguments.seed, arguments.root_label))
    else:
        bench(arguments.data, arguments.bin, arguments.set or list(SETS), arguments.rows, arguments.seed)


if __name__ == "__main__":
    main()
