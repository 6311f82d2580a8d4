#!/usr/bin/env python3
"""Obtains the demo corpora: real text out of Debian packages, one file per zone.

    python3 corpora/fetch.py --out build/corpora

reads every corpora/<domain>/corpus.txtpb (schema: corpora/corpus.proto), downloads the packages
that are missing with `apt-get download`, extracts their text and writes
build/corpora/<domain>/<zone>.txt: UTF-8, documents separated by blank lines. Neither root nor an
installation is needed. What is there already is not fetched again; the same packages give the same
bytes. A text whose SHA-256 is not the recorded one draws a warning with both digests: a point
release of the package may have changed it.

Exit status: 0 done, 1 something could not be obtained, 2 usage.
"""

import argparse
import concurrent.futures
import functools
import glob
import gzip
import hashlib
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_MAX_BYTES = 600_000
MERGE_CHARS = 300  # short neighbouring blocks of prose and code become one document of about this
MIN_CHARS = 40  # documents with less are dropped


class Problem(Exception):
    """Something to tell the user, without a traceback."""


# ---- protobuf text --------------------------------------------------------------------------

TOKEN = re.compile(r'\s+|#[^\n]*|(?P<t>"(?:[^"\\\n]|\\.)*"|[A-Za-z_][\w.]*|-?\d+|[{}:\[\],])')
REPEATED = {"output", "source", "package", "version", "files", "exclude", "select"}
FIELDS = {
    "corpus": {"domain", "output"},
    "output": {"name", "source"},
    "source": {"package", "version", "licence", "kind", "files", "exclude", "field", "select",
               "max_bytes", "sha256"},
}


def parse_text_proto(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    tokens, pos = [], 0
    while pos < len(text):
        m = TOKEN.match(text, pos)
        if not m:
            line = text.count("\n", 0, pos) + 1
            raise Problem(f"{path}:{line}: error: unexpected {text[pos]!r}")
        if m.group("t"):
            tokens.append((m.group("t"), text.count("\n", 0, pos) + 1))
        pos = m.end()
    tokens.append((None, text.count("\n") + 1))
    at = 0

    def fail(message):
        raise Problem(f"{path}:{tokens[at][1]}: error: {message}")

    def value():
        nonlocal at
        token = tokens[at][0]
        if token is None or token in "{}:[],":
            fail("a value is missing")
        at += 1
        if token[0] != '"':
            return int(token) if token.lstrip("-").isdigit() else token
        result = json.loads(token)
        while tokens[at][0] and tokens[at][0][0] == '"':  # adjacent strings are one
            result += json.loads(tokens[at][0])
            at += 1
        return result

    def message(kind):
        nonlocal at
        result = {}
        while tokens[at][0] not in (None, "}"):
            name = tokens[at][0]
            if name not in FIELDS[kind]:
                fail(f"unknown field '{name}' (known: {', '.join(sorted(FIELDS[kind]))})")
            at += 1
            if tokens[at][0] == ":":
                at += 1
            if tokens[at][0] == "{":
                at += 1
                values = [message(name)]
                if tokens[at][0] != "}":
                    fail("'}' is missing")
                at += 1
            elif tokens[at][0] == "[":
                at += 1
                values = []
                while tokens[at][0] != "]":
                    values.append(value())
                    if tokens[at][0] == ",":
                        at += 1
                at += 1
            else:
                values = [value()]
            if name in REPEATED:
                result.setdefault(name, []).extend(values)
            elif name in result:
                fail(f"'{name}' is given twice")
            else:
                result[name] = values[0]
        return result

    result = message("corpus")
    if tokens[at][0] is not None:
        fail("unexpected '}'")
    return result


# ---- packages -------------------------------------------------------------------------------


class Packages:
    """Downloads and unpacks each package at most once, below a temporary folder."""

    def __init__(self, keep, say):
        self.work = tempfile.mkdtemp(prefix="semdns-corpora-")
        self.debs = keep or os.path.join(self.work, "debs")
        os.makedirs(self.debs, exist_ok=True)
        self.say = say

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def _have(self, name):
        return sorted(glob.glob(os.path.join(glob.escape(self.debs), name + "_*.deb")))

    def download(self, names):
        missing = [n for n in sorted(set(names)) if not self._have(n)]
        if not missing:
            return
        self.say(f"downloading {len(missing)} packages")
        # The sandbox user may not write below our temporary folder; nothing is installed anyway.
        command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root"] + missing
        for attempt in (1, 2):
            try:
                done = subprocess.run(command, cwd=self.debs, text=True, stderr=subprocess.PIPE,
                                      stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"})
            except FileNotFoundError:
                raise Problem("apt-get is missing: the corpora come from Debian packages") from None
            if done.returncode == 0:
                return
            if attempt == 1 and os.geteuid() == 0:  # lists may be missing or old
                subprocess.run(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
            else:
                break
        # One failing package must not lose the others: whoever needs it will say so.
        self.say("apt-get download failed: " + done.stderr.strip().replace("\n", "; ")[:500])
        for name in missing:
            if not self._have(name):
                subprocess.run(command[:5] + [name], cwd=self.debs, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)

    def unpack(self, names):
        """package -> (folder it is unpacked in, version), or the Problem."""
        roots = {}
        for name in sorted(set(names)):
            debs = self._have(name)
            if not debs:
                roots[name] = Problem(f"package '{name}' could not be downloaded; with a network "
                                      "at hand try: apt-get update")
                continue
            folder = os.path.join(self.work, "x", name)
            os.makedirs(folder)
            done = subprocess.run(["dpkg-deb", "-x", debs[-1], folder], stderr=subprocess.PIPE,
                                  text=True, check=False)
            if done.returncode != 0:
                roots[name] = Problem(f"{debs[-1]}: cannot unpack: {done.stderr.strip()}")
                continue
            version = os.path.basename(debs[-1]).split("_")[1].replace("%3a", ":")
            roots[name] = (folder, version)
        return roots


def glob_regex(pattern):
    """Shell glob to regex: * stays inside a folder, ** crosses folders."""
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    table = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(table.get(p) or re.escape(p) for p in parts) + r"\Z")


def find_files(root, patterns, exclude):
    want = [glob_regex(p) for p in patterns]
    drop = [glob_regex(p) for p in exclude]
    found = []
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            rel = os.path.relpath(path, root)
            if os.path.islink(path) or not any(w.match(rel) for w in want):
                continue
            if not any(d.match(rel) for d in drop):
                found.append((rel, path))
    return sorted(found)


def read_bytes(path):
    with open(path, "rb") as f:
        data = f.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data


def decode(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return re.sub(".\x08", "", text) if "\x08" in text else text  # overstruck bold


def sampled(files, max_bytes):
    """Of far more text than is wanted, some files, chosen by the hash of their names."""
    kept, size = [], 0
    for rel, path in sorted(files, key=lambda f: sha256(f[0].encode())):
        if size > 12 * max_bytes:
            break
        kept.append((rel, path))
        size += os.path.getsize(path)
    return sorted(kept)


# ---- kinds of source ------------------------------------------------------------------------
# Each takes (source, [(relative path, path)]) and yields lists of blocks; a list is one file,
# whose short neighbouring blocks may be merged.


def blocks_of(text):
    return [b.strip("\n") for b in re.split(r"\n\s*\n", text)]


def from_text(source, files):
    for rel, path in files:
        text = decode(read_bytes(path))
        if ".md" in rel:
            text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
        yield blocks_of(text)


class HtmlText(html.parser.HTMLParser):
    """Text of a page; block elements separate, scripts and navigation vanish."""

    BLOCK = {"p", "div", "li", "ul", "ol", "dl", "dt", "dd", "tr", "table", "pre", "section",
             "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "article", "body", "hr", "main"}
    SKIP = {"script", "style", "head", "nav", "header", "footer", "svg", "button", "form"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.skip, self.pre = [], 0, 0

    def handle_starttag(self, tag, attrs):
        if tag in self.SKIP:
            self.skip += 1
        elif tag in self.BLOCK:
            self.parts.append("\n\n")
            self.pre += tag == "pre"
        elif tag in ("br", "td", "th"):
            self.parts.append("\n" if tag == "br" else " ")

    def handle_endtag(self, tag):
        if tag in self.SKIP:
            self.skip = max(0, self.skip - 1)
        elif tag in self.BLOCK:
            self.parts.append("\n\n")
            if tag == "pre":
                self.pre = max(0, self.pre - 1)

    def handle_data(self, data):
        if not self.skip:
            if self.pre:  # code keeps its lines, and stays one block
                self.parts.append(re.sub(r"\n\s*\n", "\n", data))
            else:
                self.parts.append(re.sub(r"\s+", " ", data))

    def text(self):
        return "".join(self.parts)


def from_html(source, files):
    for _, path in files:
        page = HtmlText()
        page.feed(decode(read_bytes(path)))
        page.close()
        yield blocks_of(page.text().replace("\xa0", " "))


ROFF_FONT = re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)|\\s[-+]?\d|\\[&|^/,%:]|\\d|\\u(?![0-9A-Fa-f])")
ROFF_CHARS = {"\\-": "-", "\\e": "\\", "\\ ": " ", "\\~": " ", "\\(aq": "'", "\\(dq": '"',
              "\\(bu": "*", "\\(co": "(c)", "\\(em": " - ", "\\(en": "-", "\\(ha": "^",
              "\\(ti": "~", "\\(rs": "\\", "\\(lq": '"', "\\(rq": '"', "\\(oq": "'",
              "\\(cq": "'", "\\'": "'", "\\`": "`"}
ROFF_BREAK = {"SH", "SS", "PP", "P", "LP", "TP", "TQ", "IP", "HP", "Sh", "Ss", "Pp", "It", "sp",
              "nf", "fi", "EX", "EE", "RS", "RE", "Bl", "El", "Bd", "Ed", "br", "bp"}
ROFF_TEXT = {"B", "I", "BR", "RB", "IR", "RI", "BI", "IB", "SM", "SB", "SH", "SS", "IP", "Sh",
             "Ss", "It", "Nm", "Nd", "Fl", "Ar", "Cm", "Pa", "Dq", "Sq", "Pq", "Xr", "Ic", "Va",
             "Ql", "Qq", "Op", "Dv", "Li", "Em", "Sy", "No", "Ev", "Er", "Fn", "Ft", "Fa", "Vt",
             "UR", "MR", "TP"}
ROFF_WORDS = {"Ns", "Pc", "Po", "Oo", "Oc", "Ar", "Fl", "Cm", "Pa", "Dq", "Sq", "Pq", "Xr", "Ic",
              "Op", "Dv", "Li", "Em", "Sy", "Ql", "Nm", "Ev", "Fa"}


def roff_text(line):
    line = ROFF_FONT.sub("", line)
    line = re.sub(r'\s*\\".*', "", line)
    for escape, plain in ROFF_CHARS.items():
        line = line.replace(escape, plain)
    line = re.sub(r"\\\((..)|\\\[[^\]]*\]|\\\*(?:\[[^\]]*\]|\(..|.)|\\[a-zA-Z](?:'[^']*')?",
                  "", line)
    return line


def from_man(source, files):
    """A plain reading of man and mdoc macros: text stays, layout goes."""
    for _, path in files:
        out, ignore = [], False
        for line in decode(read_bytes(path)).split("\n"):
            if ignore:  # macro definitions, up to the closing ".."
                ignore = line.strip() != ".."
                continue
            if not line or line[0] not in ".'":
                out.append(roff_text(line))
                continue
            m = re.match(r"[.']\s*([A-Za-z]+)\s*(.*)", line)
            if not m:
                continue
            macro, rest = m.groups()
            if macro in ("de", "ig"):
                ignore = True
                continue
            if macro in ROFF_BREAK:
                out.append("")
            if macro in ROFF_TEXT:
                words = [a or b for a, b in re.findall(r'"((?:[^"]|"")*)"|(\S+)', roff_text(rest))]
                glue = "" if macro in ("BR", "RB", "IR", "RI", "BI", "IB") else " "
                out.append(glue.join(w for w in words if w not in ROFF_WORDS))
                if macro in ("SH", "SS", "Sh", "Ss"):
                    out.append("")
        yield blocks_of("\n".join(out))


POD_CODE = re.compile(r"[BCEFILSXZ]<<* ?([^<>]*?) ?>>*")


def from_pod(source, files):
    for _, path in files:
        text = decode(read_bytes(path))
        text = re.sub(r"^=(?:head\d|item|over|back|pod|cut|begin|end|for|encoding)\b[ \t]*", "",
                      text, flags=re.M)
        for _ in range(3):  # codes nest
            text = POD_CODE.sub(lambda m: m.group(1).split("|")[0], text)
        yield blocks_of(text)


LICENCE_HEAD = re.compile(r"copyright|licen[sc]e|SPDX|redistribut|all rights reserved", re.I)


def from_code(source, files):
    for _, path in files:
        blocks = blocks_of(decode(read_bytes(path)))
        while blocks and LICENCE_HEAD.search(blocks[0]):
            blocks.pop(0)
        yield [b for b in blocks if "\0" not in b]


@functools.lru_cache(maxsize=1)
def dict_entries(path):
    """Entries of a dictd dictionary as (headword, text), in the order of the text."""
    base = path[: -len(".dict.dz")]
    data = read_bytes(path)
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def number(s):
        n = 0
        for c in s:
            n = n * 64 + digits.index(c)
        return n

    seen = {}
    for line in decode(read_bytes(base + ".index")).split("\n"):
        fields = line.split("\t")
        if len(fields) >= 3 and not fields[0].startswith("00"):
            seen.setdefault((number(fields[1]), number(fields[2])), fields[0])
    return [(word, decode(data[offset : offset + size]))
            for (offset, size), word in sorted(seen.items())]


GRAMMAR = re.compile(r"^[\W\d]*(?:(?:n|a|adj|adv|v|imp|p|pl|pr|vb|prep|interj|conj|t|i)\b\.?[ ,;&]*)+"
                     r"(?=[A-Z]|$)")


def clean_sense(text, head, mark):
    """The words of a definition. A subject mark such as (Bot.) goes, for it would tell the zone."""
    if mark and mark.pattern.startswith(("\\(", "<")):
        text = re.sub(f"(?:{mark.pattern})(?:[^()<>]{{0,40}}[)>])?", " ", text)
    text = re.sub(r"^\s*(?:\d+\. *)?<[^<>]{2,60}>", " ", text)  # FOLDOC's subject
    text = re.sub(r"^ *\((?:19|20)\d\d-\d\d-\d\d\)\s*$", "", text, flags=re.M)  # and date
    text = re.sub(r"\s+", " ", text)
    if text.startswith(head):
        text = text[len(head):]
    text = re.sub(r"\\[^\\]{1,80}\\", " ", text)  # pronunciation
    for _ in range(2):  # etymology, source; they nest once
        text = re.sub(r"\[[^\[\]]*\]", "", text)
    text = re.sub(r"\([^()]*[\"`^*=~?][^()]*\)", " ", text)
    text = text.replace("{", "").replace("}", "")
    text = re.sub(r" --[A-Z][\w. ]{1,24}\.?$", "", text)  # whom is quoted
    text = re.sub(r"\s+([,.;])", r"\1", re.sub(r"\s+", " ", text))
    text = GRAMMAR.sub("", text).strip(" .,;:")
    return re.sub(r"^(?:\W*\d+\. *)?(?:\(a\) *)?", "", text)


def from_dict(source, files):
    mark = re.compile(source["field"]) if source.get("field") else None
    for _, path in files:
        if not path.endswith(".dict.dz"):
            raise Problem(f"{path}: a dictionary is a .dict.dz file with its .index")
        for word, text in dict_entries(path):
            head = text.split("\n", 1)[0].split("\\")[0].split(",")[0].strip() or word
            senses = re.split(r"\n\s*\n", text) if mark else [text]
            for sense in senses:
                if mark and not mark.search(sense):
                    continue
                body = clean_sense(sense, head, mark)
                if body:
                    yield [body if body.lower().startswith(head.lower()) else f"{head}: {body}"]


class WordNet:
    """Synsets by lexicographer file, topic and subtree."""

    PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
    LEX = ["adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal",
           "noun.artifact", "noun.attribute", "noun.body", "noun.cognition", "noun.communication",
           "noun.event", "noun.feeling", "noun.food", "noun.group", "noun.location", "noun.motive",
           "noun.object", "noun.person", "noun.phenomenon", "noun.plant", "noun.possession",
           "noun.process", "noun.quantity", "noun.relation", "noun.shape", "noun.state",
           "noun.substance", "noun.time", "verb.body", "verb.change", "verb.cognition",
           "verb.communication", "verb.competition", "verb.consumption", "verb.contact",
           "verb.creation", "verb.emotion", "verb.motion", "verb.perception", "verb.possession",
           "verb.social", "verb.stative", "verb.weather", "adj.ppl"]

    def __init__(self, folder):
        self.synsets, self.first = {}, {}
        for part, letter in self.PARTS.items():
            for line in decode(read_bytes(os.path.join(folder, "data." + part))).split("\n"):
                if not line or line[0] == " ":
                    continue
                data, _, gloss = line.partition(" | ")
                f = data.split()
                count = int(f[3], 16)
                words = [w.replace("_", " ").split("(")[0] for w in f[4 : 4 + 2 * count : 2]]
                at = 4 + 2 * count
                pointers = [(f[at + 1 + 4 * i], (f[at + 3 + 4 * i], f[at + 2 + 4 * i]))
                            for i in range(int(f[at]))]
                self.synsets[(letter, f[0])] = (self.LEX[int(f[1])], words, pointers, gloss.strip())
        for line in decode(read_bytes(os.path.join(folder, "index.noun"))).split("\n"):
            if line and line[0] != " ":
                f = line.split()
                self.first[f[0].replace("_", " ")] = ("n", f[6 + int(f[3])])

    def select(self, rule):
        how, _, what = rule.partition(":")
        if how == "lex":
            return {k for k, s in self.synsets.items() if s[0] == what}
        if what not in self.first:
            raise Problem(f"WordNet has no noun '{what}' (select: \"{rule}\")")
        root = self.first[what]
        if how == "topic":
            return {k for k, s in self.synsets.items() if (";c", root) in s[2]}
        if how != "under":
            raise Problem(f"select: \"{rule}\" is neither lex: nor topic: nor under:")
        found, todo = set(), [root]
        while todo:
            key = todo.pop()
            if key not in found:
                found.add(key)
                todo += [to for kind, to in self.synsets[key][2] if kind in ("~", "~i")]
        return found


@functools.lru_cache(maxsize=1)
def wordnet(folder):
    return WordNet(folder)


def from_wordnet(source, files):
    net = wordnet(os.path.dirname(files[0][1]))
    chosen = set()
    for rule in source.get("select", []):
        chosen |= net.select(rule)
    for key in sorted(chosen):
        _, words, _, gloss = net.synsets[key]
        yield [f"{', '.join(words)}: {gloss}"]


def from_fortune(source, files):
    for _, path in files:
        for cookie in re.split(r"^%\s*$", decode(read_bytes(path)), flags=re.M):
            yield [re.sub(r"\n\s*\n", "\n", cookie.strip("\n")).replace("\t", " ")]


def from_sword(source, files):
    """A SWORD zText module: *.bzs indexes zlib blocks in *.bzz; the text is OSIS or ThML."""
    import struct

    for _, path in files:
        with open(path, "rb") as f:
            blocks = f.read()
        with open(path[:-1] + "s", "rb") as f:
            index = f.read()
        for at in range(0, len(index), 12):
            offset, size, _ = struct.unpack_from("<III", index, at)
            text = decode(zlib.decompress(blocks[offset : offset + size]))
            text = re.sub(r"<(note|title)\b.*?</\1>", " ", text, flags=re.S | re.I)
            text = re.sub(r"<(?:chapter|milestone|div|p|lg|/p|/div|l)\b[^>]*>", "\n\n", text,
                          flags=re.I)
            yield blocks_of(re.sub(r"<[^>]*>", " ", text))


KINDS = {"text": from_text, "html": from_html, "man": from_man, "pod": from_pod,
         "code": from_code, "dict": from_dict, "wordnet": from_wordnet, "fortune": from_fortune,
         "sword": from_sword}
MERGED = {"text", "html", "man", "pod", "code", "sword"}

# ---- extraction -----------------------------------------------------------------------------

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


def tidy(block, code):
    block = CONTROL.sub("", block.replace("\r\n", "\n"))
    if not code:
        block = re.sub(r"[ \t]+", " ", block)
    return "\n".join(line.rstrip() for line in block.split("\n") if line.strip())


NOISE = re.compile(r"\s*(?:Retrieved from \"http|COPYRIGHT$|Copyright |Licensed under the |"
                   r"(?:Prev|Next|Up|Home|Available Languages|Sitemap|Modules|Apache HTTP Server "
                   r"Version|Table of Contents|Contents)\b.{0,160}\Z)", re.M)


def documents(source, groups):
    code = source["kind"] in ("code", "man", "html", "text", "pod")
    for blocks in groups:
        pending = ""
        for block in blocks:
            block = tidy(block, code)
            if not block or (source["kind"] in ("html", "man") and NOISE.match(block)):
                continue
            pending = f"{pending}\n{block}" if pending else block
            if source["kind"] not in MERGED or len(pending) >= MERGE_CHARS:
                yield pending
                pending = ""
        if pending:
            yield pending


def looks_like_a_list(text):
    """Menus and tables of names, which manuals in HTML are full of."""
    lines = text.split("\n")
    return len(lines) >= 5 and len(text) < 24 * len(lines)


def extract(source, roots):
    """The text of a source; `roots`: package -> (folder, version)."""
    files = []
    seen_versions = []
    for name in source["package"]:
        if isinstance(roots[name], Problem):
            raise roots[name]
        root, version = roots[name]
        seen_versions.append(version)
        here = find_files(root, source["files"], source.get("exclude", []))
        if not here:
            raise Problem(f"package '{name}' {version} has no file like "
                          f"{', '.join(source['files'])}")
        files += [(f"{name}/{rel}", path) for rel, path in here]
    limit = source.get("max_bytes", DEFAULT_MAX_BYTES)
    if source["kind"] == "html":
        files = sampled(files, limit)
    seen, kept, size = set(), [], 0
    for text in documents(source, KINDS[source["kind"]](source, files)):
        letters = sum(c.isalpha() for c in text)
        if len(text) < MIN_CHARS or letters * 2 < len(text):
            continue  # tables of numbers, rulers, one-word headings
        if source["kind"] == "html" and looks_like_a_list(text):
            continue
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        if digest not in seen:  # navigation bars and licence notices come in every file
            seen.add(digest)
            kept.append((digest, text))
            size += len(text.encode("utf-8", "replace")) + 2
    if size > limit:
        # By hash, so that the choice is spread over all files and moves little when one changes.
        bound = sorted(d for d, _ in kept)[int(len(kept) * limit / size)]
        kept = [(d, t) for d, t in kept if d < bound]
    return "\n\n".join(t for _, t in kept) + "\n", seen_versions


def extract_output(output, roots):
    """What a worker does: [(text, versions)] of the sources, or the Problem."""
    try:
        return [extract(source, roots) for source in output["source"]]
    except Problem as problem:
        return problem


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def check(path, corpus):
    for output in corpus.get("output", []):
        for source in output.get("source", []):
            for field in ("package", "kind", "files", "licence"):
                if field not in source:
                    raise Problem(f"{path}: output '{output.get('name')}': a source lacks '{field}'")
            if source["kind"] not in KINDS:
                raise Problem(f"{path}: unknown kind '{source['kind']}' "
                              f"(known: {', '.join(sorted(KINDS))})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default=os.path.join(HERE, "..", "build", "corpora"),
                        help="folder to write below (default: build/corpora)")
    parser.add_argument("--only", action="append", metavar="DOMAIN[/ZONE]",
                        help="fetch only this part; may be given several times")
    parser.add_argument("--debs", metavar="DIR", help="keep downloaded packages here and use them")
    parser.add_argument("--record", action="store_true",
                        help="write versions and digests of what was extracted into corpus.txtpb")
    args = parser.parse_args()
    start = time.monotonic()

    def say(message):
        print(message, file=sys.stderr, flush=True)

    with open(os.path.abspath(__file__), "rb") as f:
        recipe = sha256(f.read())
    corpora = []
    for path in sorted(glob.glob(os.path.join(HERE, "*", "corpus.txtpb"))):
        corpus = parse_text_proto(path)
        check(path, corpus)
        corpora.append((path, corpus))
    if not corpora:
        raise Problem(f"no corpus.txtpb below {HERE}")

    stamp_path = os.path.join(args.out, ".stamps.json")
    try:
        with open(stamp_path, encoding="utf-8") as f:
            stamps = json.load(f)
    except (OSError, ValueError):
        stamps = {}

    todo, total, names = [], 0, 0
    for path, corpus in corpora:
        for output in corpus["output"]:
            name = f"{corpus['domain']}/{output['name']}"
            if args.only and not any(name == o or name.startswith(o + "/") for o in args.only):
                continue
            names += 1
            bare = [{k: v for k, v in s.items() if k not in ("sha256", "version")}
                    for s in output["source"]]
            key = sha256(json.dumps([recipe, bare], sort_keys=True).encode())
            target = os.path.join(args.out, name + ".txt")
            old = stamps.get(name)
            if old and old["key"] == key and not args.record and os.path.isfile(target):
                with open(target, "rb") as f:
                    data = f.read()
                if sha256(data) == old["sha256"]:
                    total += len(data)
                    continue
            todo.append((path, name, output, key, target))
    failures = 0
    if todo:
        packages = Packages(args.debs, say)
        try:
            packages.download(p for _, _, o, _, _ in todo for s in o["source"] for p in s["package"])
            roots = packages.unpack(p for _, _, o, _, _ in todo for s in o["source"]
                                    for p in s["package"])
            workers = min(4, len(os.sched_getaffinity(0)))
            with concurrent.futures.ProcessPoolExecutor(workers) as pool:
                results = list(pool.map(extract_output, [t[2] for t in todo], [roots] * len(todo)))
            for (path, name, output, key, target), result in zip(todo, results):
                if isinstance(result, Problem):
                    say(f"{path}: error: {name}: {result}")
                    failures += 1
                    continue
                texts = []
                for source, (text, versions) in zip(output["source"], result):
                    data = text.encode("utf-8", "replace")
                    texts.append(data)
                    if args.record:
                        record(path, source, sha256(data), versions)
                    elif sha256(data) != source.get("sha256"):
                        say(f"{path}: warning: {name}: the text of {' '.join(source['package'])} "
                            f"is not the recorded one\n  recorded {source.get('sha256')} "
                            f"({' '.join(source.get('version', []))})\n  found    "
                            f"{sha256(data)} ({' '.join(versions)})")
                data = b"\n".join(texts)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target + ".tmp", "wb") as f:
                    f.write(data)
                os.replace(target + ".tmp", target)
                stamps[name] = {"key": key, "sha256": sha256(data)}
                total += len(data)
                say(f"  {name:28} {len(data) / 1e6:6.2f} MB")
        finally:
            packages.close()
            os.makedirs(args.out, exist_ok=True)
            with open(stamp_path + ".tmp", "w", encoding="utf-8") as f:
                json.dump(stamps, f, indent=1, sort_keys=True)
            os.replace(stamp_path + ".tmp", stamp_path)
    say(f"corpora: {names - failures} of {names} texts, {total / 1e6:.1f} MB in {args.out} "
        f"({time.monotonic() - start:.1f} s)")
    return 1 if failures else 0


def record(path, source, digest, versions):
    """Replaces version and digest of `source` in its file: for maintainers, after a look at it."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    old, new = source.get("sha256"), digest
    if not old or text.count(f'"{old}"') != 1:
        raise Problem(f"{path}: --record needs a unique sha256 placeholder in each source")
    text = text.replace(f'"{old}"', f'"{new}"')
    at = text.index(f'"{new}"')
    begin = text.rindex("source {", 0, at)
    block = text[begin:at]
    listed = ", ".join(f'"{v}"' for v in versions)
    block = re.sub(r'version: \[[^\]]*\]', lambda _: f"version: [{listed}]", block)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text[:begin] + block + text[at:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
