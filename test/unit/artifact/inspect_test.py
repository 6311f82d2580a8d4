"""inspect-artifact on the committed seeds: tables, JSON, raw sections, exit codes. The e2e tests run
it on artifacts that build-hierarchy made."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

CORPUS = pathlib.Path(__file__).resolve().parents[3] / "test/fuzz/corpus/artifact"
TOOL = os.environ["INSPECT_ARTIFACT"]


def run(*arguments, stdin=b""):
    return subprocess.run([TOOL, *map(str, arguments)], input=stdin, capture_output=True)


class Inspect(unittest.TestCase):
    def test_tables(self):
        out = run(CORPUS / "hierarchy", "--verify").stdout.decode()
        for word in ("serial 2026112301", "contracts.legal.", "legal/Contracts", "legal-13b", "META", "GOLD"):
            self.assertIn(word, out)
        self.assertIn("tall owl", run(CORPUS / "patterns").stdout.decode())

    def test_json(self):
        result = run(CORPUS / "hierarchy", "--json")
        self.assertEqual(result.returncode, 0)
        listing = json.loads(result.stdout)
        self.assertEqual(listing["kind"], "hierarchy")
        self.assertEqual(listing["meta"]["name"], "sample")
        self.assertEqual([z["name"] for z in listing["zones"]], [".", "cooking.", "legal.", "contracts.legal."])
        self.assertEqual(json.loads(run(CORPUS / "patterns", "--json").stdout)["patterns"]["kinds"],
                         {"ngram": 1, "phrase": 1})

    def test_facts(self):
        result = run(CORPUS / "hierarchy", "--facts", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        facts = {f["fact"]: f for f in json.loads(result.stdout)["facts"]}
        self.assertEqual(list(facts), ["totality", "work", "reachability", "keywords", "decision"])
        self.assertEqual(facts["totality"]["state"], "proved")
        self.assertEqual(facts["decision"]["state"], "shown")
        self.assertIn("1 of 1 golden queries", facts["decision"]["text"])
        text = run(CORPUS / "encoder", "--facts")
        self.assertEqual(text.returncode, 0)
        self.assertIn(b"encoder: 24 tokens", text.stdout)
        self.assertIn(b"contains 'mozaligu' of d000.", text.stdout)
        self.assertEqual(run(CORPUS / "patterns", "--facts").returncode, 2)

    def test_section(self):
        self.assertEqual(run(CORPUS / "patterns", "--section=DBUG").stdout, b"p" * 300)
        self.assertTrue(run(CORPUS / "patterns", "--section=PATS").stdout.endswith(b"herontall owl"))
        wrong = run(CORPUS / "patterns", "--section=PATZ")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn(b"did you mean 'PATS'?", wrong.stderr)

    def test_exit_codes(self):
        good = (CORPUS / "patterns").read_bytes()
        self.assertEqual(run("-", stdin=good).returncode, 0)
        for at, code in ((8, 4), (16, 4), (24, 4), (64, 1), (500, 1), (600, 1), (760, 1)):
            damaged = bytearray(good)
            damaged[at] ^= 4
            result = run("-", stdin=bytes(damaged))
            self.assertEqual(result.returncode, code, at)
            self.assertEqual(result.stdout, b"")
            self.assertIn(b"error: ", result.stderr)
        self.assertEqual(run("-", stdin=good[:400]).returncode, 1)
        self.assertEqual(run("-").returncode, 1)
        self.assertEqual(run(CORPUS / "no_text").returncode, 1)
        self.assertEqual(run(CORPUS / "absent").returncode, 1)
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run(CORPUS / "patterns", "--nonsense").returncode, 2)
        self.assertEqual(run("--help").returncode, 0)

    def test_another_golden_answer_is_a_negative_verdict(self):
        # The sample's GOLD says 60000; with KEYW's confidence changed the library answers otherwise.
        import hashlib
        import struct
        file = bytearray((CORPUS / "hierarchy").read_bytes())
        count = struct.unpack_from("<I", file, 48)[0]
        for i in range(count):
            entry = 128 + 96 * i
            offset, size = struct.unpack_from("<QQ", file, entry + 16)
            if file[entry:entry + 4] == b"KEYW":
                struct.pack_into("<I", file, offset + 36, 50000)
                file[entry + 48:entry + 80] = hashlib.sha256(file[offset:offset + size]).digest()
        file[64:96] = bytes(32)
        file[64:96] = hashlib.sha256(file[:128 + 96 * count]).digest()
        with tempfile.NamedTemporaryFile() as out:
            out.write(file)
            out.flush()
            self.assertEqual(run(out.name).returncode, 0)
            result = run(out.name, "--verify")
            self.assertEqual(result.returncode, 3)
            self.assertIn(b"GOLD: query 0", result.stderr)
            result = run(out.name, "--facts")
            self.assertEqual(result.returncode, 3)
            self.assertIn(b"decision (violated)", result.stdout)


if __name__ == "__main__":
    unittest.main()
