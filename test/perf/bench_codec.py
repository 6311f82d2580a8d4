"""`./dev bench codec`: ratio and speed of the codecs beside gzip, zstd and brotli on contexts of 4 KB.

Libraries are mined from ../shared/data/corpora/DOMAIN/*.train alone. "in": the sources' own test
documents. "shift": one source is left out of the mining, and its test documents are compressed."""
import argparse
import json
import os
import random
import subprocess
import zlib

from common import BIN, DATA, OUT, ROOT, cpu, put_section, python_with, run, run_json, say

LEFT_OUT = {"legal": "us-court-opinions", "medical": "openstax-nursing", "code": "python-stdlib",
            "creative": "gutenberg-poetry", "science": "openstax-university-physics"}
GOALS = {  # of issue 6: turbo, fast, max; in and shift
    "legal": ((4.2, 6.1, 6.8), (3.4, 4.85, 5.35)), "medical": ((4.1, 5.8, 6.7), (3.2, 4.4, 5.1)),
    "code": ((3.5, 5.1, 6.0), (3.4, 5.1, 5.9)), "creative": ((3.2, 3.9, 4.3), (3.0, 3.7, 4.1)),
    "science": ((3.7, 5.1, 5.8), (3.7, 4.8, 5.4))}
MODES = ("turbo", "fast", "max")
BROTLI = """
import brotli, json, sys
texts = json.load(sys.stdin)
sizes = [len(brotli.compress(t.encode(), quality=11)) for t in texts]
print(json.dumps(sum(len(t.encode()) for t in texts) / sum(sizes)))
"""


def corpus(domain, part, keep):
    return sorted(p for p in (DATA / "corpora" / domain).glob(f"*.{part}.jsonl.zst") if keep(p.name.split(".")[0]))


def general_peers(files, length, count, brotli):
    """gzip and brotli on contexts drawn by the same rule (not the same draw) as evaluate-codec's."""
    text = "\n".join(json.loads(line)["text"] for f in files
                     for line in run(["zstd", "-dcq", f]).split("\n") if line).encode()
    draw = random.Random(1)
    contexts = [text[at:at + length] for at in (draw.randrange(len(text) - length) for _ in range(count))]
    rows = {"gzip -9": sum(map(len, contexts)) / sum(len(zlib.compress(c, 9, -15)) + 18 for c in contexts)}
    if brotli:
        said = subprocess.run([brotli, "-c", BROTLI], capture_output=True, text=True,
                              input=json.dumps([c.decode(errors="replace") for c in contexts]))
        if said.returncode == 0:
            rows["brotli -11"] = json.loads(said.stdout)
    return rows


def measure(domain, split, options, brotli):
    left = LEFT_OUT[domain]
    keep = (lambda name: True) if split == "in" else (lambda name: name != left)
    train = corpus(domain, "train", keep)
    test = corpus(domain, "test", keep if split == "in" else lambda name: name == left)
    if not train or not test:
        say(f"{domain} {split}: no corpus")
        return None
    folder = OUT / "codec"
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{domain}-{split}"
    say(f"{domain} {split}: mining {len(train)} sources")
    library, artifact, spec = (stem.with_suffix(s) for s in (".plib", ".sdna", ".txtpb"))
    run([BIN / "mine-patterns", f"--domain={domain}", *(f"--input={f}" for f in train), "--max-patterns=100",
         f"--codec=zstd,{','.join(options.modes)}", f"--k-anonymity={options.k_anonymity}", "-f", "-o", library])
    spec.write_text(f'name: "bench"\nzone {{ name: "{domain}." patterns: "{library.name}" }}\n'
                    'zone { name: "other." keyword: "zzyzx" }\n')
    run([BIN / "build-hierarchy", spec, "--targets=x86-64-v3", "-f", "-o", artifact])
    dictionaries = []
    for name, size in (("112K", 112640),) + ((("1M", 1 << 20),) if options.full else ()):
        path = folder / f"{domain}-{split}.{name}"
        if not path.exists():
            plain = b"".join(json.loads(line)["text"].encode() + b"\n" for f in train
                             for line in run(["zstd", "-dcq", f]).split("\n") if line)
            (folder / "plain").write_bytes(plain)
            run(["zstd", "-q", "--train", folder / "plain", "-B4096", f"--maxdict={size}", "-o", path, "-f"])
        dictionaries.append(path)
    cell = {"peers": general_peers(test, options.length, options.contexts, brotli)}
    for mode in options.modes:
        cell[mode] = run_json([BIN / "evaluate-codec", f"@{artifact}", f"--zone={domain}.", f"--mode={mode}",
                               *(f"--input={f}" for f in test), f"--length={options.length}",
                               f"--contexts={options.contexts}", "--json",
                               *(("--no-baselines",) if mode != options.modes[0]
                                 else (f"--dictionary={d}" for d in dictionaries))])
    for name, row in cell[options.modes[0]].pop("baselines").items():
        cell["peers"][name.replace(f"{domain}-{split}.", "")] = row
    return cell


def plot(cells, modes, path):
    """Grouped bars as SVG: one group a domain and split."""
    shown = ["zstd -3 + 112K", "zstd -19 + 112K", *modes]
    colours = ["#bbbbbb", "#888888", "#4477aa", "#228833", "#aa3377"]
    top = max((ratio_of(c, s) or 0) for c in cells.values() for s in shown) * 1.1
    width, height, left = 70 + 84 * len(cells), 320, 50
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
           'font-size="11"><rect width="100%" height="100%" fill="white"/>']
    for mark in range(int(top) + 1):
        y = 270 - 230 * mark / top
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y:.0f}" y2="{y:.0f}" stroke="#dddddd"/>'
                   f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{mark}</text>')
    for i, (name, cell) in enumerate(cells.items()):
        for j, series in enumerate(shown):
            ratio = ratio_of(cell, series)
            if ratio:
                tall = 230 * ratio / top
                out.append(f'<rect x="{left + 10 + 84 * i + 14 * j}" y="{270 - tall:.1f}" width="12" '
                           f'height="{tall:.1f}" fill="{colours[j]}"><title>{series}: {ratio:.2f}</title></rect>')
        out.append(f'<text x="{left + 45 + 84 * i}" y="286" text-anchor="middle">{name}</text>')
    for j, series in enumerate(shown):
        out.append(f'<rect x="{left + 120 * j}" y="300" width="10" height="10" fill="{colours[j]}"/>'
                   f'<text x="{left + 14 + 120 * j}" y="309">{series}</text>')
    out.append(f'<text x="{left}" y="20">bytes in / bytes out, contexts of 4 KB compressed alone</text></svg>')
    path.write_text("\n".join(out) + "\n")


def ratio_of(cell, name):
    row = cell.get(name) or cell["peers"].get(name)
    return row if row is None or isinstance(row, float) else row["ratio"]


def section(cells, options):
    lines = [
        "## Codecs", "",
        f"Written by `./dev bench codec --modes={','.join(options.modes)} --docs`. Machine: {cpu()}. Contexts of "
        f"{options.length} bytes at random offsets, {options.contexts} a cell, each compressed alone; ratio = all "
        "their bytes by all their frames' bytes, headers included, with the bootstrap's 95 % interval. Libraries: "
        f"`mine-patterns --k-anonymity={options.k_anonymity}` on `../shared/data/corpora/DOMAIN/*.train`. `in`: the "
        "sources' `test` documents; `shift`: the test documents of a source that was left out of the mining ("
        + ", ".join(f"{d}: {s}" for d, s in LEFT_OUT.items()) + "). zstd's dictionaries: `zstd --train -B4096` on the "
        "same text, without the rule that several owners must have what is stored; its frames are counted without "
        "magic number. gzip and brotli draw their contexts by the same rule.", "",
        "![ratios](codec.svg)", "",
        "| | gzip -9 | brotli -11 | zstd -19 | zstd -3 + 112K | zstd -19 + 112K | "
        + ("zstd -19 + 1M | " if options.full else "") + " | ".join(f"{m} (goal)" for m in options.modes) + " |",
        "|---" * (6 + options.full + len(options.modes)) + "|"]
    peers = ["gzip -9", "brotli -11", "zstd -19", "zstd -3 + 112K", "zstd -19 + 112K"] + \
        (["zstd -19 + 1M"] if options.full else [])
    for name, cell in cells.items():
        domain, split = name.split()
        goals = dict(zip(MODES, GOALS[domain][split != "in"]))
        row = [f"{ratio_of(cell, p):.2f}" if ratio_of(cell, p) else "-" for p in peers]
        for mode in options.modes:
            c = cell[mode]
            row.append(f"{c['ratio']:.2f}, {c['ratio_low']:.2f} to {c['ratio_high']:.2f} ({goals[mode]})")
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    lines += ["", "CPU time a context, best of three passes, on one thread; all rows of a cell in one run.", "",
              "| | codec | library | scratch | compress us | decompress us | MB/s to / back | compress by zstd -3 / -19 "
              "+ 112K | worst ratio |", "|---|---|---|---|---|---|---|---|---|"]
    for name, cell in cells.items():
        fast, slow = cell["peers"]["zstd -3 + 112K"], cell["peers"]["zstd -19 + 112K"]
        for mode in options.modes:
            c = cell[mode]
            lines.append(
                f"| {name} | {mode} | {c['library_bytes'] / 1e6:.2f} MB | {c['scratch_bytes'] / 1e6:.1f} MB | "
                f"{c['compress_us']:.0f} | {c['decompress_us']:.1f} | {options.length / c['compress_us']:.1f} / "
                f"{options.length / c['decompress_us']:.0f} | {c['compress_us'] / fast['compress_us']:.1f} / "
                f"{c['compress_us'] / slow['compress_us']:.2f} | {c['worst_ratio']:.2f} |")
    if "turbo" in options.modes:
        slow = [sum(options.length / c["turbo"][way] < goal for c in cells.values())
                for way, goal in (("compress_us", 20), ("decompress_us", 100))]
        lines += ["", f"turbo's goals are 20 MB/s there and 100 MB/s back: missed in {slow[0]} and {slow[1]} of "
                  f"{len(cells)} cells. Load of the machine while this was written: "
                  f"{os.getloadavg()[0]:.0f} on {os.cpu_count()} CPUs; other work slows times down, not ratios."]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", default=",".join(LEFT_OUT))
    parser.add_argument("--modes", default="turbo,fast,max")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--contexts", type=int, default=200)
    parser.add_argument("--k-anonymity", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="zstd with a dictionary of 1 MB too (minutes)")
    parser.add_argument("--docs", action="store_true", help="write the section and the plot of docs/benchmarks.md")
    options = parser.parse_args()
    options.modes = options.modes.split(",")
    if not (DATA / "corpora").is_dir():
        say(f"no corpora in {DATA}: nothing to measure")
        return
    brotli = python_with(["brotli"], ["brotli"])
    cells = {}
    for domain in options.domains.split(","):
        for split in ("in", "shift"):
            cell = measure(domain, split, options, brotli)
            if cell:
                cells[f"{domain} {split}"] = cell
                say(f"{domain} {split}:", ", ".join(f"{m} {cell[m]['ratio']:.2f}" for m in options.modes))
                (OUT / "codec.json").write_text(json.dumps(cells, indent=1))
    text = section(cells, options)
    print(text)
    if options.docs:
        put_section("codec", text)
        plot(cells, options.modes, ROOT / "docs/codec.svg")


if __name__ == "__main__":
    main()
