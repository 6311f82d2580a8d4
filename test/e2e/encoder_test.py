"""Builds with a sentence encoder: a tiny one with random weights, which needs no network. It knows
nothing, so no answer is expected to be right; what is held is that the path works and repeats."""
import array
import json
import random
import re
import struct
import unittest

from support import ToolTest, help_desk_rows, run

WIDTH, INNER, LAYERS, HEADS, POSITIONS = 32, 64, 2, 2, 64


def write_encoder(folder, layers=LAYERS):
    """A BERT of `layers` layers as sentence-transformers stores one, the same bytes every time."""
    folder.mkdir()
    words = sorted({word for text, _ in help_desk_rows() for word in re.findall(r"[a-z0-9]+", text.lower())})
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'?"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + c for c in letters),
              *(w for w in words if len(w) > 1)]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"do_lower_case": True, "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}))
    (folder / "config.json").write_text(json.dumps({
        "model_type": "bert", "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": layers,
        "num_attention_heads": HEADS, "vocab_size": len(pieces), "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "position_embedding_type": "absolute"}))
    shapes = {"embeddings.word_embeddings.weight": [len(pieces), WIDTH],
              "embeddings.position_embeddings.weight": [POSITIONS, WIDTH],
              "embeddings.token_type_embeddings.weight": [2, WIDTH]}

    def norm(name):
        shapes[name + ".weight"] = shapes[name + ".bias"] = [WIDTH]

    def linear(name, out, into):
        shapes[name + ".weight"], shapes[name + ".bias"] = [out, into], [out]

    norm("embeddings.LayerNorm")
    for i in range(layers):
        at = f"encoder.layer.{i}."
        for name in ("query", "key", "value"):
            linear(at + "attention.self." + name, WIDTH, WIDTH)
        linear(at + "attention.output.dense", WIDTH, WIDTH)
        norm(at + "attention.output.LayerNorm")
        linear(at + "intermediate.dense", INNER, WIDTH)
        linear(at + "output.dense", WIDTH, INNER)
        norm(at + "output.LayerNorm")
    source, header, data = random.Random(7), {}, b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        middle = 1 if name.endswith("LayerNorm.weight") else 0
        values = array.array("f", (middle + source.gauss(0, 0.05) for _ in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return folder


class Encoder(ToolTest):
    def setUp(self):
        super().setUp()
        self.encoder = write_encoder(self.folder / "encoder")

    def build(self, name, *arguments, cache="cache", check=0, every_level=False):
        out = self.folder / name
        result = run("build-hierarchy", f"--from-examples={self.examples()}", f"--encoder={self.encoder}",
                     f"--cache={self.folder / cache if cache != 'none' else cache}",
                     *([] if every_level else ["--targets=x86-64-v2"]), "-o", out, *arguments, check=check)
        return out, result.stderr.decode()

    def test_same_bytes_with_and_without_the_cache(self):
        cold, said = self.build("cold.sdna", "-j1")
        self.assertRegex(said, r"encoder: 2 layers of width 32; [1-9]\d* texts embedded")
        warm, said = self.build("warm.sdna", "-j2")
        self.assertIn("; 0 texts embedded", said)
        none, _ = self.build("none.sdna", cache="none")
        self.assertEqual(cold.read_bytes(), warm.read_bytes())
        self.assertEqual(cold.read_bytes(), none.read_bytes())
        listing = run("inspect-artifact", cold, "--verify", check=0).stdout.decode()
        for section in ("WPCE", "ENCM", "HEAD"):
            self.assertRegex(listing, rf"(?m)^\s+{section}\s")

    def test_stage_3_answers_alike_on_every_level(self):
        artifact, _ = self.build("a.sdna", every_level=True)
        queries = [text for text, _ in help_desk_rows()[::5]] + ["", "[SEP] [CLS]", "\U0001f600 caf\u00e9", "x" * 5000]
        for stages in ("3", "1,2,3"):
            answers = {}
            for isa in ("portable", None):
                answers[isa] = [self.ask(artifact, query, stages, isa) for query in queries]
            self.assertEqual(answers["portable"], answers[None])
        self.assertEqual(self.ask(artifact, "where is my parcel", "3")["stage"], "encoder")
        plain = self.ask(artifact, "the second one", "3")
        self.assertEqual(plain, self.ask(artifact, "the second one", "3"))
        self.assertNotEqual(plain["confidence"], self.ask(artifact, "the second one", "3", context="refund")["confidence"])

    def ask(self, artifact, query, stages, isa=None, context=None):
        arguments = [f"--stages={stages}", "--json", *([f"--context={context}"] if context else [])]
        result = run("resolve-query", f"@{artifact}", *arguments, query, check=0, env={"SEMDNS_ISA": isa} if isa else None)
        return json.loads(result.stdout)

    def test_fine_tuning_is_remembered(self):
        first, said = self.build("first.sdna", "--finetune", "-j1")
        again, _ = self.build("again.sdna", "--finetune", "-j2")
        other, _ = self.build("other.sdna", "--finetune", cache="elsewhere")
        self.assertEqual(first.read_bytes(), again.read_bytes())
        self.assertEqual(first.read_bytes(), other.read_bytes())
        plain, _ = self.build("plain.sdna")
        self.assertNotEqual(first.read_bytes(), plain.read_bytes())
        for file in (self.folder / "cache").glob("finetuned-*"):
            file.write_bytes(file.read_bytes()[:100])
        mended, said = self.build("mended.sdna", "--finetune")
        self.assertIn("damaged", said)
        self.assertEqual(first.read_bytes(), mended.read_bytes())

    def test_fewer_layers(self):
        _, said = self.build("one.sdna", "--encoder-layers=1")
        self.assertIn("encoder: 1 layers of width 32", said)
        _, said = self.build("many.sdna", "--encoder-layers=3", check=1)
        self.assertIn("has 2 layers, not 3", said)

    def test_an_encoder_that_only_teaches(self):
        artifact, _ = self.build("taught.sdna", "--teach-only")
        listing = run("inspect-artifact", artifact, check=0).stdout.decode()
        self.assertNotRegex(listing, r"(?m)^\s+(WPCE|ENCM|HEAD)\s")
        self.assertIn("embedding", self.ask(artifact, "where is my parcel", "1,2")["stage"])

    def test_a_zone_known_by_its_description(self):
        spec = self.write("tree.txtpb", f"""
examples: "{self.examples()}"
encoder {{ path: "{self.encoder}" }}
zone {{ name: "billing." zone {{ name: "refund.billing." }} zone {{ name: "invoice.billing." }} }}
zone {{ name: "tech." zone {{ name: "login.tech." }} zone {{ name: "crash.tech." }} }}
zone {{ name: "shipping." }}
zone {{ name: "jobs." description: "vacancies, applications and interviews" }}
""")
        out = self.folder / "tree.sdna"
        run("build-hierarchy", spec, "--targets=x86-64-v2", f"--cache={self.folder / 'cache'}", "-o", out, check=0)
        tree = json.loads(run("inspect-artifact", out, "--json", check=0).stdout)
        self.assertIn("jobs.", json.dumps(tree))


if __name__ == "__main__":
    unittest.main(verbosity=2)
