"""resolve-query and bench-artifact on a small random artifact: what scripts rely on, in the runtime tier.

    tools_test.py BIN_DIR MAKE_TEST_ARTIFACT
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

BIN, MAKE = sys.argv.pop(1), sys.argv.pop(1)
FIELDS = ["zone", "path", "best_path", "zones", "stage", "cached", "confidence", "margin", "status", "reason",
          "ttl", "serial", "digest", "engines", "chain"]


class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.artifact = os.path.join(cls.folder.name, "small.sdna")
        subprocess.run([MAKE, cls.artifact], check=True)
        cls.rows = os.path.join(cls.folder.name, "rows.jsonl")
        cls.texts = ["", "bafo cedi", "x" * 100000, "two\nlines", "nul \u0000 inside", "bafo cedi"]
        with open(cls.rows, "w") as out:
            for text in cls.texts:
                out.write(json.dumps({"text": text}) + "\n")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_tool(self, tool, *arguments, expect=0, stdin=b"", env=None):
        result = subprocess.run([os.path.join(BIN, tool), *arguments], input=stdin, capture_output=True,
                                env=dict(os.environ, **(env or {})))
        self.assertEqual(result.returncode, expect, result.stderr.decode())
        return result

    def resolve(self, *arguments, **options):
        out = self.run_tool("resolve-query", f"@{self.artifact}", "--json", *arguments, **options).stdout
        return [json.loads(line) for line in out.decode().splitlines()]

    def test_json_contract(self):
        answers = self.resolve("-i", self.rows)
        self.assertEqual(len(answers), len(self.texts))
        for answer in answers:
            self.assertEqual(list(answer), FIELDS)
            self.assertNotEqual(answer["best_path"], "/")
            self.assertEqual(answer["chain"][-1], ".")
            self.assertEqual(answer["chain"][0], answer["zone"])
            self.assertEqual(answer["zones"][0]["path"], answer["path"])
        self.assertEqual(answers[0]["reason"], "empty")
        self.assertEqual(answers[2]["reason"], "truncated")
        self.assertEqual(answers[1], answers[5])

    def test_inputs_agree(self):
        from_file = self.resolve("-i", self.rows)
        with open(self.rows, "rb") as rows:
            self.assertEqual(self.resolve("-i", "-", stdin=rows.read()), from_file)
        self.assertEqual(self.resolve("bafo cedi"), from_file[1:2])
        self.assertEqual(self.resolve(stdin=b"\nbafo cedi\n"), from_file[0:2])
        self.assertEqual(self.resolve(stdin=b"\nbafo cedi"), from_file[0:2])
        self.assertEqual(self.resolve("--", "+short", "@x", "--json")[0]["status"], "NOZONE")
        self.assertEqual(self.resolve("-i", self.rows, env={"SEMDNS_ISA": "portable"}), from_file)

    def test_options(self):
        self.assertEqual(len(self.resolve("bafo cedi", "--top=1")[0]["zones"]), 1)
        self.assertLessEqual(len(self.resolve("bafo cedi", "--top=8")[0]["zones"]), 8)
        self.assertNotEqual(self.resolve("bafo cedi", "--stages=1")[0]["stage"], "embedding")
        self.assertEqual(self.resolve("bafo cedi", "--stages=3")[0]["reason"], "no-stage")
        self.assertIn("trace", self.resolve("bafo cedi", "+trace")[0])
        short = self.run_tool("resolve-query", f"@{self.artifact}", "+short", "a", "b").stdout.decode()
        self.assertEqual(len(short.splitlines()), 2)
        hostile = self.run_tool("resolve-query", f"@{self.artifact}", "a\x1b[31mb").stdout
        self.assertNotIn(b"\x1b", hostile)

    def test_exit_codes(self):
        with open(self.artifact, "rb") as file:
            good = file.read()
        damaged = os.path.join(self.folder.name, "damaged.sdna")

        def damage(at, mask, expect):
            bad = bytearray(good)
            bad[at] ^= mask
            with open(damaged, "wb") as out:
                out.write(bad)
            for tool, rest in (("resolve-query", [f"@{damaged}", "x"]),
                               ("bench-artifact", [damaged, f"--queries={self.rows}"])):
                self.run_tool(tool, *rest, expect=expect)

        damage(len(good) // 2, 1, 1)
        damage(len(good) - 1, 128, 1)
        damage(0, 1, 1)
        damage(8, 2, 4)   # major version
        damage(16, 3, 4)  # kind
        self.run_tool("resolve-query", f"@{self.artifact}", "-i", "/no/such/file", expect=1)
        for wrong in ([], ["x"], [f"@{self.artifact}", "+shrot"], [f"@{self.artifact}", "x", "--stages=1,"],
                      [f"@{self.artifact}", "x", "--top=0"], [f"@{self.artifact}", "x", "-i", self.rows],
                      [f"@{self.artifact}", "x", "--isa=sparc"], [f"@{self.artifact}", "--no-such-option"]):
            self.run_tool("resolve-query", *wrong, expect=2)
        self.run_tool("bench-artifact", self.artifact, expect=2)
        for tool in ("resolve-query", "bench-artifact"):
            self.run_tool(tool, "--help")
            self.run_tool(tool, "--version")

    def test_bench(self):
        out = json.loads(self.run_tool("bench-artifact", self.artifact, f"--queries={self.rows}", "--json",
                                       "--repeat=3").stdout)
        self.assertEqual(set(out["ns_per_query"]), {"p50", "p99", "mean"})
        self.assertIn(out["allocations_per_query"], (0, None))
        self.assertAlmostEqual(sum(out["stage_share"].values()), 1)
        self.assertEqual(out["queries"], 5)
        self.assertEqual(list(out["isas"]), ["portable"])
        self.assertIn("p99", out["isas"]["portable"]["ns_per_query"])


unittest.main(verbosity=2)
