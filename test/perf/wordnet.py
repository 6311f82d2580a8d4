"""WordNet's noun tree as labelled rows over hierarchies of any size.

The rows come from Debian's package `wordnet-base`, downloaded as corpora/fetch.py downloads packages;
nothing of it is part of this repository. Protocol:

- A noun synset is a zone; its parent is its first hypernym (or what it is an instance of). The zone's
  label is the synset's first word, with a number where siblings share it.
- Paths have at most 16 labels: what lies deeper belongs to the zone at depth 16.
- Cut to N zones: those with the most synsets below them stay, ties by depth, then by the file's order
  (sizes fall along a path, so what stays is a tree). A text belongs to the nearest ancestor of its
  synset that stays. The texts are the same for every N.
- Train: for each synset one row "words: definition" and one row of its words alone.
- Example sentences (the quoted parts of glosses) are never trained on. Of the synsets that have any, a
  quarter, by a hash of its number, gives them to `calibration`, the others to `test`.

    wordnet.py DIR [SIZE...]        writes DIR/wordnet-SIZE.{train,calibration,test}.jsonl
"""
import hashlib
import importlib.util
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = [64, 1024, 16384, 65536]
MOST_LABELS = 16
PARTS = ["train", "calibration", "test"]


def packages(keep):
    spec = importlib.util.spec_from_file_location("fetch", ROOT / "corpora/fetch.py")
    fetch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fetch)
    return fetch.Packages(keep, lambda text: print(text, file=sys.stderr))


def read_nouns(lines):
    """(number, parent or None, words, definition, sentences) of each synset, in the file's order."""
    for line in lines:
        if line.startswith("  "):  # the licence
            continue
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        count = int(fields[3], 16)
        words = [fields[4 + 2 * i].replace("_", " ") for i in range(count)]
        at = 4 + 2 * count
        parent = None
        for i in range(int(fields[at])):
            symbol, target, kind = fields[at + 1 + 4 * i:at + 4 + 4 * i]
            if parent is None and symbol in ("@", "@i") and kind == "n":
                parent = target
        sentences = [s.strip() for s in re.findall(r'"([^"]+)"', gloss)]
        definition = re.sub(r'\s*;?\s*"[^"]*"[^;]*', "", gloss).strip()
        yield fields[0], parent, words, definition, sentences


class Nouns:
    def __init__(self, lines):
        self.synsets = {synset[0]: synset for synset in read_nouns(lines)}
        self.order = {number: i for i, number in enumerate(self.synsets)}
        self.parent = {n: s[1] if s[1] in self.synsets else None for n, s in self.synsets.items()}
        self.way = {}  # root first
        for number in self.synsets:
            way, at = [], number
            while at is not None:
                way.append(at)
                at = self.parent[at]
            self.way[number] = way[::-1]
        self.size = {}
        for way in self.way.values():
            for at in way[:MOST_LABELS]:
                self.size[at] = self.size.get(at, 0) + 1

    def cut(self, zones):
        """Label of each synset in the tree of the `zones` largest."""
        kept = set(sorted(self.size, key=lambda n: (-self.size[n], len(self.way[n]), self.order[n]))[:zones])
        label, taken = {}, {}
        for number in sorted(kept, key=lambda n: (len(self.way[n]), self.order[n])):
            parent, name = self.parent[number], self.synsets[number][2][0].lower()
            name = base = re.sub(r"[^a-z0-9]+", "-", name)[:40].strip("-") or "x"
            siblings, copy = taken.setdefault(parent, set()), 1
            while name in siblings:
                copy += 1
                name = f"{base}-{copy}"
            siblings.add(name)
            label[number] = f"{label[parent]}/{name}" if parent in label else name
        return {number: label[next(at for at in reversed(way[:MOST_LABELS]) if at in kept)]
                for number, way in self.way.items()}


def write(folder, sizes, keep=None):
    """Writes the rows that are not there yet. Raises where the package cannot be had."""
    folder = pathlib.Path(folder)
    files = {(size, part): folder / f"wordnet-{size}.{part}.jsonl" for size in sizes for part in PARTS}
    if all(file.exists() for file in files.values()):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    debian = packages(keep)
    try:
        debian.download(["wordnet-base"])
        place = debian.unpack(["wordnet-base"])["wordnet-base"]
        if isinstance(place, Exception):
            raise place
        with open(pathlib.Path(place[0]) / "usr/share/wordnet/data.noun", encoding="latin-1") as lines:
            nouns = Nouns(lines)
    finally:
        debian.close()
    for size in sizes:
        label = nouns.cut(size)
        rows = {part: [] for part in PARTS}
        for number, _, words, definition, sentences in nouns.synsets.values():
            names = ", ".join(words)
            part = "test" if hashlib.sha256(number.encode()).digest()[0] % 4 else "calibration"
            for to, texts in (("train", [f"{names}: {definition}", names]), (part, sentences)):
                rows[to] += [{"text": text, "label": label[number]} for text in texts]
        for part, own in rows.items():
            with open(files[size, part], "w", encoding="utf-8") as out:
                out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in own)
    return files


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    write(sys.argv[1], [int(size) for size in sys.argv[2:]] or SIZES)
