"""Our WordPiece against PyPI's `tokenizers`, where that package is installed.

    python3 test/e2e/wordpiece_test.py                     compare (through ctest: e2e.wordpiece_test)
    python3 test/e2e/wordpiece_test.py --write-golden      write test/unit/encoder_import/golden.json

ctest's unit.encoder_import checks the golden file everywhere. Variables beside ctest's: SEMDNS_PRINT_IDS
(the program print_ids), SEMDNS_ENCODER (an encoder's folder; default: what ./dev encoder installs).

One difference is on purpose. `tokenizers` looks for special tokens in the raw text, so that a query
which spells "[SEP]" gets that token; here text never yields a special token. The comparisons
therefore use a `tokenizers` tokeniser without added tokens.
"""
import array
import glob
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import unittest

try:
    import tokenizers
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
except ImportError:
    tokenizers = None

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("SEMDNS_DATA", SOURCE / "../shared/data"))
BIN = pathlib.Path(os.environ.get("SEMDNS_BIN", SOURCE / "build/release/bin"))
PRINT_IDS = os.environ.get("SEMDNS_PRINT_IDS", str(BIN.parent / "test/print_ids"))
GOLDEN = SOURCE / "test/unit/encoder_import/golden.json"

CLEAN, LOWER, STRIP, CHINESE = 1, 2, 4, 8
UNCASED, CASED = CLEAN | LOWER | STRIP | CHINESE, CLEAN | CHINESE
# Combinations compared on hostile text; sweeps over all code points are recorded for the first three.
FLAGS = [UNCASED, CASED, 0, CLEAN | LOWER, STRIP, LOWER | STRIP, LOWER, CHINESE | STRIP]

# Longer pieces of the probe vocabulary (test/unit/encoder_import/probe.h).
WORDS = ["un", "unaff", "##aff", "##able", "##ffable", "##a", "running", "##ning", "hello", "hell", "##o",
         "##ood", "东京", "##東京", "naive", "##ïve", "the", "##re", "there", "##rea", "[", "##]", "##",
         "don", "##'t", "e\u0301", "##\u0301", "한국", "##국어"]

CONTEXTS = ["{}", "a{}b", "x{}\u0301y", "a\u302e{}\U0001d165z", "\U0001d165{}\u302f", "{0}{0} {0}"]


def probe(flags):
    """The vocabulary of probe.h in `tokenizers`."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    for c in range(0x20000):
        if not 0xD800 <= c < 0xE000:
            pieces += [chr(c), "##" + chr(c)]
    # The longer pieces are numbered on; those that stand in the vocabulary already are left out.
    pieces += probe_words()
    tokenizer = Tokenizer(WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]",
                                    max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(clean_text=bool(flags & CLEAN), lowercase=bool(flags & LOWER),
                                          strip_accents=bool(flags & STRIP),
                                          handle_chinese_chars=bool(flags & CHINESE))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def probe_words():
    known = lambda w: len(w.removeprefix("##")) <= 1
    return [w for w in WORDS if not known(w)]


def without_special_tokens(folder):
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    raw.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
    return Tokenizer.from_str(json.dumps(raw))


def ids_of(tokenizer, texts):
    return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


class Ours:
    """print_ids, fed with batches of bytes."""

    def __init__(self, *arguments):
        self.arguments = [PRINT_IDS, *arguments]

    def __call__(self, texts):
        data = "".join(t.hex() + "\n" for t in texts).encode()
        out = subprocess.run(self.arguments, input=data, stdout=subprocess.PIPE, check=True).stdout
        lines = out.decode().split("\n")[:-1]
        assert len(lines) == len(texts), (len(lines), len(texts))
        return [[int(i) for i in line.split()] for line in lines]


def repaired(data):
    """Bytes as text: ill-formed UTF-8 becomes U+FFFD per maximal subpart, as our reader does it."""
    return data.decode("utf-8", "replace")


def hostile():
    """Texts of our own that try rules and limits. Bytes."""
    texts = ["", " ", "\t\n\r", "hello world", "Hello, WORLD!", "unaffable unaffaffable", "theres there re",
             "the\u0000re", "\u0000", "don't", "[SEP] [CLS]", "[UNK][PAD]", "a[MASK]b", "##able", "#", "## ",
             "a##b", "東京タワー", "北京2008奥运", "a東b", "hello東京", "naïve NAÏVE Nai\u0308ve", "e\u0301 é É",
             "\u0301", "a\u0301\u0327b", "a\u0327\u0301b", "İstanbul IŞIK ıi", "ß ẞ ﬀ ﬁ", "ΣΑΣ Σ ΟΔΥΣΣΕΥΣ",
             "Ǆ ǅ ǆ", "ͅ", "Å\u0345", "한국어 각 가\u11a8", "\u1100\u1161\u11a8", "\u1112\u1161\u11ab국어",
             "\u302e\u302f", "가\u302f\u302e각", "x\U0001d165\U0001d166\U0001d16dy", "x\U0001d16d\U0001d165y",
             "x\u302e\u09c7\U0001d165y", "x\u302e\u0a3c\U0001d165y", "x\u302e\u0301\U0001d165y",
             "x\u302e\u0b82\U0001d165y", "x\u302f\u0488\u302e", "\u1b44\u302e\u1b44",
             "\U0001f469\u200d\U0001f4bb \U0001f1e9\U0001f1ea \u2764\ufe0f", "a\u200bb\u200cc\u200dd\ufeffe",
             "soft\u00adhyphen", "non\u00a0breaking\u202fspace\u3000wide", "line\u2028sep\u2029para\u0085nel",
             "\u000b\u000c\u001c\u001d", "\u061c\u200f\u202eabc\u202c", "private \ue000\U000f0000\U00100000 use",
             "\ufffd", "a\ufffdb", "\uffff\ufffe", "\u037e;\u1fef`\u2000\u2001\u2329", "\u2260 \u226e \u0338",
             "≠=\u0338", "\u0374\u0387\u212a\u212b\u2126", "豈 \uf900 \U0002f800 \U0002a6df\U0002a700\U0002b820\U0002b920",
             "\u3400\u4dbf\u4dc0\u4dff\u9fff\ua000", "ｆｕｌｌｗｉｄｔｈ ｶﾞ", "क़ क\u093c ऩ", "\u0958\u0959",
             "১২৩ ٠١٢ ⅷ ½ ²", "$ + < = > ^ ` | ~", "€ £ © ° § ¶ ¿ « »", "\u2010\u2014\u2026\u2018\u201d",
             "\u3001\u3002\u300c\u30fb", "\u055a\u05be\u0964\u0f0d\u104a\u1361", "\u166d\u111c9",
             "\u0890\u08e2\u110bd\U000110cd\U00013430", "\u1734\u1885\ua9bd\u0898", "\u1c89\ua7cb\ua7dc\U00010d50",
             "\U0001e900\U0001e922\U0001e944", "\U00010400\U000104b0", "tab\tnew\nline\rcr",
             "http://example.org/a_b?c=d&e=%20#f", "C:\\x\\y", "{\"k\": [1, 2.5e-3]}", "x=y+z;", "a.b.c...", "-1,000.50"]
    for n in (99, 100, 101, 200, 1000):
        texts += ["a" * n, "\u00e9" * n, "e\u0301" * n, "a" + "\u0301" * n, "a" * n + "!", "-" * n, "가" * (n // 3),
                  "z" * (n - 1) + "한", "x" + "\U0001d165\u302e" * (n // 2)]
    random_texts = random.Random(20261123)
    pools = [list(range(0x20, 0x7F)), list(range(0x300, 0x370)) + [0x302E, 0x302F, 0x1D165, 0x1D166, 0x1D16D, 0x1B44],
             list(range(0xA0, 0x600)), list(range(0x900, 0xE00)), list(range(0x1100, 0x1200)) + list(range(0xAC00, 0xAC80)),
             list(range(0x2000, 0x2070)), list(range(0x3000, 0x3100)) + [0x4E00, 0x9FFF, 0xF900, 0x20000],
             list(range(0x1D100, 0x1D1F0)), [0, 9, 10, 13, 0x85, 0xAD, 0x200B, 0xFFFD, 0xFEFF],
             list(range(0x1F300, 0x1F650)), [0x61, 0x62, 0x41, 0x20, 0x2D]]
    for _ in range(3000):
        texts.append("".join(chr(random_texts.choice(random_texts.choice(pools)))
                             for _ in range(random_texts.randint(1, 40))))
    for _ in range(1000):
        texts.append("".join(chr(c) for c in (random_texts.randrange(0x110000) for _ in range(20))
                             if not 0xD800 <= c < 0xE000))
    data = [t.encode("utf-8") for t in texts]
    data += [b"\xff", b"a\xffb", b"\xc3", b"a\xc3", b"\xe2\x82", b"\xed\xa0\x80x\xed\xbf\xbf", b"\xf4\x90\x80\x80",
             b"\xc0\xaf", b"\xf0\x9f\x92 ok", b"\x80\x80"]
    for _ in range(1000):
        data.append(bytes(random_texts.choice([random_texts.randrange(256), 0x61, 0xE2, 0x82, 0xAC, 0xC3, 0xA9])
                          for _ in range(random_texts.randint(1, 24))))
    return data


def sweep_texts(context):
    return [context.format(chr(c)) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def digest(rows):
    """SHA-256 of ids as 32-bit little-endian words, 0xffffffff behind each text."""
    words = array.array("I")
    for row in rows:
        words.extend(row)
        words.append(0xFFFFFFFF)
    return hashlib.sha256(words.tobytes()).hexdigest()


def write_golden():
    picked = hostile()
    picked = picked[:134] + picked[134:4000:40] + picked[-1010:-980]
    golden = {"made with": f"tokenizers {tokenizers.__version__}", "words": probe_words(),
              "texts": [t.hex() for t in picked], "ids": [], "texts of other flags": [], "sweeps": []}
    for flags in FLAGS:
        tokenizer = probe(flags)
        ids = ids_of(tokenizer, [repaired(t) for t in picked])
        if flags == UNCASED:
            golden["ids"] = ids
        golden["texts of other flags"].append({"flags": flags, "sha256": digest(ids)})
        if flags in FLAGS[:3]:
            for context in CONTEXTS if flags == UNCASED else CONTEXTS[:2]:
                golden["sweeps"].append({"flags": flags, "context": context,
                                         "sha256": digest(ids_of(tokenizer, sweep_texts(context)))})
    with open(GOLDEN, "w", encoding="ascii") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


def setUpModule():
    if not tokenizers:
        raise unittest.SkipTest("SKIPPED: the Python package tokenizers is not installed")


class WordPieceTest(unittest.TestCase):
    def compare(self, ours, tokenizer, data, what):
        theirs = ids_of(tokenizer, [repaired(t) for t in data])
        for found, expected, text in zip(ours(data), theirs, data):
            if found != expected:
                self.fail(f"{what}: {text[:400]!r}\n  ours   {found[:60]}\n  theirs {expected[:60]}")

    def test_hostile_text(self):
        data = hostile()
        for flags in FLAGS:
            with self.subTest(flags=flags):
                self.compare(Ours(f"--probe={flags}", *probe_words()), probe(flags), data, f"flags {flags}")

    def test_every_code_point(self):
        for flags in FLAGS[:2]:
            ours, tokenizer = Ours(f"--probe={flags}", *probe_words()), probe(flags)
            for context in CONTEXTS:
                with self.subTest(flags=flags, context=context):
                    data = [t.encode() for t in sweep_texts(context)]
                    self.compare(ours, tokenizer, data, f"flags {flags}, {context!r}")

    def encoder(self):
        named = os.environ.get("SEMDNS_ENCODER")
        found = [named] if named else sorted(glob.glob(str(SOURCE / "build/encoder/**/tokenizer.json"), recursive=True))
        if not found:
            self.skipTest("SKIPPED: no encoder; ./dev encoder installs one")
        return pathlib.Path(named) if named else pathlib.Path(found[0]).parent

    def test_encoder_on_hostile_text(self):
        folder = self.encoder()
        tokenizer, ours = without_special_tokens(folder), Ours(str(folder))
        self.compare(ours, tokenizer, hostile(), "the encoder's vocabulary")
        for context in CONTEXTS[:3]:
            self.compare(ours, tokenizer, [t.encode() for t in sweep_texts(context)], context)

    def test_special_tokens_cannot_be_spelled(self):
        folder = self.encoder()
        theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
        theirs.no_padding()
        theirs.no_truncation()
        special = {t["id"] for t in json.loads((folder / "tokenizer.json").read_text())["added_tokens"] if t["special"]}
        texts = [f"a {name} b" for name in ("[SEP]", "[CLS]", "[PAD]", "[MASK]")]
        self.assertTrue(all(special & set(ids) for ids in ids_of(theirs, texts)))
        self.assertFalse(any(special & set(ids) for ids in Ours(str(folder))([t.encode() for t in texts])))

    @unittest.skipUnless(DATA.is_dir(), f"SKIPPED: no data at {DATA}")
    def test_every_text_of_the_shared_data(self):
        folder = self.encoder()
        tokenizer, ours = without_special_tokens(folder), Ours(str(folder))
        files = sorted(glob.glob(f"{DATA}/routing/*.jsonl") + glob.glob(f"{DATA}/prompts/*.jsonl") +
                       glob.glob(f"{DATA}/corpora/*/*.jsonl.zst"))
        total = 0
        for file in files:
            raw = (subprocess.run(["zstd", "-dcq", file], stdout=subprocess.PIPE, check=True).stdout
                   if file.endswith(".zst") else pathlib.Path(file).read_bytes())
            texts = [json.loads(line)["text"].encode("utf-8", "surrogatepass") for line in raw.split(b"\n") if line]
            total += len(texts)
            for begin in range(0, len(texts), 5000):
                self.compare(ours, tokenizer, texts[begin:begin + 5000], file)
        print(f"{total} texts of {len(files)} files: the same ids")
        self.assertGreater(total, 0)


if __name__ == "__main__":
    if "--write-golden" in sys.argv:
        write_golden()
    else:
        unittest.main(verbosity=2)
