"""resolve-query, evaluate-hierarchy, bench-artifact, inspect-artifact: the contract scripts rely on."""
import json
import re

from support import ToolTest, help_desk_rows, main, run, write_rows

FIELDS = {"zone", "path", "best_path", "zones", "stage", "cached", "confidence", "margin", "status", "reason",
          "ttl", "serial", "digest", "engines", "chain"}


class Contract(ToolTest):
    def setUp(self):
        super().setUp()
        self.rows = self.examples()
        self.artifact = self.build(f"--from-examples={self.rows}", "--serial=42")

    def resolve(self, *arguments, stdin=None, check=0, env=None):
        out = run("resolve-query", f"@{self.artifact}", "--json", *arguments, stdin=stdin, check=check, env=env).stdout
        return [json.loads(line) for line in out.decode().splitlines()]

    def test_json_fields(self):
        answer, = self.resolve("where is my parcel", "--top=3")
        self.assertLessEqual(FIELDS, set(answer))
        self.assertTrue(answer["zone"].endswith("."))
        self.assertEqual(answer["best_path"], "shipping")
        self.assertEqual(answer["serial"], 42)
        self.assertRegex(answer["digest"], "^[0-9a-f]{64}$")
        self.assertIs(answer["cached"], False)
        self.assertEqual(answer["engines"], [])
        self.assertLessEqual(len(answer["zones"]), 3)
        self.assertGreaterEqual(len(answer["zones"]), 1)
        for zone in answer["zones"]:
            self.assertTrue(0 <= zone["confidence"] <= 1 and "path" in zone)
        self.assertTrue(0 <= answer["confidence"] <= 1 and 0 <= answer["margin"] <= 1)

    def test_batches_keep_their_order(self):
        answers = self.resolve("-i", self.rows)
        expected = [label for _, label in help_desk_rows()]
        self.assertEqual(len(answers), len(expected))
        hits = sum(a["best_path"] == e for a, e in zip(answers, expected))
        self.assertGreater(hits, 0.9 * len(expected))
        from_stdin = self.resolve("-i", "-", stdin=self.rows.read_bytes())
        self.assertEqual(from_stdin, answers)

    def test_every_isa_answers_the_same(self):
        expected = self.resolve("-i", self.rows)
        for isa in ("portable", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+vnni"):
            result = run("resolve-query", f"@{self.artifact}", "--json", "-i", self.rows, f"--isa={isa}")
            if result.returncode == 2 and b"run" in result.stderr:
                continue  # this machine cannot
            self.assertEqual([json.loads(l) for l in result.stdout.decode().splitlines()], expected, isa)
        forced = self.resolve("-i", self.rows, env={"SEMDNS_ISA": "portable"})
        self.assertEqual(forced, expected)
        self.assertNotEqual(run("resolve-query", f"@{self.artifact}", "x", "--isa=sparc").returncode, 0)

    def test_hostile_texts_get_an_answer_with_a_reason(self):
        hostile = self.folder / "hostile.jsonl"
        texts = ["", " \t\n", "\u0000\u0000", "\U0001F4A9" * 50, "a" * (1 << 20), "parcel " * 150000, "\ufdfa" * 3000,
                 "é" * 5000, "\u0301" * 5000, "where is my p\u0061\u0301rcel", "الطرد أين", "我的包裹在哪里"]
        with open(hostile, "w") as out:
            for text in texts:
                out.write(json.dumps({"text": text}) + "\n")
        answers = self.resolve("-i", hostile)
        self.assertEqual(len(answers), len(texts))
        self.assertEqual(answers[0]["path"], "/")
        self.assertEqual(answers[0]["reason"], "empty")
        self.assertIn("truncated", json.dumps(answers[4]))
        self.assertEqual(answers[5]["best_path"], "shipping")
        dirty, = self.resolve("-i", "-", stdin=b'{"text": "where is \xff\xfe my parcel \\ud800"}\n')
        self.assertEqual((dirty["best_path"], dirty["reason"]), ("shipping", "repaired"))
        empty, = self.resolve("--top=3", "")
        self.assertEqual((len(empty["zones"]), empty["margin"]), (1, 0))
        raw = run("resolve-query", f"@{self.artifact}", "--json", stdin=b"where is \xff\xfe my parcel\n", check=0)
        answer = json.loads(raw.stdout.decode().splitlines()[0])
        self.assertIn("repaired", json.dumps(answer))

    def test_human_output(self):
        short = run("resolve-query", f"@{self.artifact}", "+short", "where is my parcel", check=0).stdout.decode()
        self.assertRegex(short.strip(), r"^(shipping)?\.$")
        trace = run("resolve-query", f"@{self.artifact}", "+trace", "where is my parcel", check=0).stdout.decode()
        self.assertIn("embedding", trace)
        self.assertIn("shipping.", trace)

    def test_stages_can_be_chosen(self):
        for stages in ("1", "2", "1,2"):
            answer, = self.resolve("where is my parcel", f"--stages={stages}")
            self.assertIn("path", answer)
        run("resolve-query", f"@{self.artifact}", "x", "--stages=9", check=2)

    def test_wrong_usage_and_files(self):
        run("resolve-query", "text without artifact", check=2)
        run("resolve-query", "@/no/such/file.sdna", "x", check=1)
        run("resolve-query", f"@{self.rows}", "x", check=1)
        bad = self.write("bad.jsonl", '{"text": 3}\n')
        result = run("resolve-query", f"@{self.artifact}", "-i", bad, check=1)
        self.assertIn("bad.jsonl:1", result.stderr.decode())

    def test_evaluate(self):
        out = json.loads(run("evaluate-hierarchy", self.artifact, f"--queries={self.rows}", "--json", check=0).stdout)
        text = json.dumps(out)
        for word in ("coverage", "misroute", "best_path", "stage", "confusion"):
            self.assertIn(word, text)
        run("evaluate-hierarchy", self.artifact, f"--queries={self.rows}", "--min-accuracy=0.1", "--max-misroute=0.9", check=0)
        wrong = [(text, "shipping" if label != "shipping" else "tech/crash") for text, label in help_desk_rows()]
        write_rows(self.folder / "wrong.jsonl", wrong)
        gated = run("evaluate-hierarchy", self.artifact, f"--queries={self.folder}/wrong.jsonl", "--min-accuracy=0.9", check=3)
        self.assertIn("accuracy", gated.stderr.decode() + gated.stdout.decode())

    def test_bench(self):
        out = json.loads(run("bench-artifact", self.artifact, f"--queries={self.rows}", "--json", check=0).stdout)
        self.assertLessEqual({"p50", "p99", "mean"}, set(out["ns_per_query"]))
        self.assertEqual(out["allocations_per_query"], 0)
        self.assertIn("stage_share", out)
        self.assertIn("portable", out["isas"])

    def test_inspect(self):
        table = run("inspect-artifact", self.artifact, check=0).stdout.decode()
        for word in ("META", "ZTRE", "KCPU", "x86-64-v3"):
            self.assertIn(word, table)
        listing = json.loads(run("inspect-artifact", self.artifact, "--json", "--verify", check=0).stdout)
        self.assertIn("sections", listing)
        raw = run("inspect-artifact", self.artifact, "--section=META", check=0).stdout
        self.assertIn(b"spec.sha256", raw)
        self.assertNotIn(b"where is my parcel", self.artifact.read_bytes())  # no training text inside


if __name__ == "__main__":
    main()
