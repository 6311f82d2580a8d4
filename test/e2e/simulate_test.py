"""simulate-hierarchy: what it reads, refuses, prints and writes."""
import json
import pathlib
import random
import tempfile
import unittest

from support import DATA, run


def conversations(path, count=40, turns=5):
    """Conversations whose turns go on where the one before ended, mixed in time."""
    rng = random.Random(7)
    events = [(rng.randrange(0, 60000) + 30000 * turn, c, turn) for c in range(count) for turn in range(turns)]
    with open(path, "w", encoding="utf-8") as out:
        for at, c, turn in sorted(events):
            blocks = [0] + [1 + 100 * c + b for b in range(4 * turn + 4)]
            out.write(json.dumps({"timestamp": at, "input_length": 512 * len(blocks), "output_length": 100,
                                  "hash_ids": blocks}) + "\n")


class Simulate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.trace = self.path / "trace.jsonl"
        conversations(self.trace)

    def test_all_policies_as_json(self):
        one = run("simulate-hierarchy", self.trace, "--json", "--endpoints=4", "--sweep=40,400", "-j1", check=0).stdout
        two = run("simulate-hierarchy", self.trace, "--json", "--endpoints=4", "--sweep=400,40", "-j2", check=0).stdout
        self.assertEqual(one, two)
        result = json.loads(one)
        self.assertEqual(set(result["policies"]), {"score", "least-loaded", "p2c", "round-robin", "hash"})
        for policy in result["policies"].values():
            self.assertEqual(policy["requests"], 200)
            self.assertEqual(policy["first_half"]["requests"] + policy["second_half"]["requests"], 200)
            self.assertLessEqual(policy["of_infinite"], 1)
        self.assertGreater(result["policies"]["score"]["of_infinite"], result["policies"]["round-robin"]["of_infinite"])
        for policy in result["sweep"]["policies"].values():
            self.assertLess(policy["of_infinite"][0], policy["of_infinite"][1])

    def test_report(self):
        report = self.path / "report.html"
        command = ["simulate-hierarchy", self.trace, f"--report={report}", "--sweep=50,100"]
        text = run(*command, check=0).stdout.decode()
        self.assertIn("of infinite", text)
        page = report.read_text()
        self.assertEqual(page.count("<svg"), 4)  # too short for windows of ten minutes
        self.assertNotIn("<script", page)
        self.assertIn("exists", run(*command, check=1).stderr.decode())
        run(*command, "-f", check=0)

    def test_bad_input(self):
        bad = self.path / "bad.csv"
        bad.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,4808,10\nx,1,1\n")
        said = run("simulate-hierarchy", bad, check=1).stderr.decode()
        self.assertIn(f"{bad}:3:1: error:", said)
        run("simulate-hierarchy", self.path / "none.csv", check=1)
        run("simulate-hierarchy", self.trace, "--policies=fastest", check=2)
        run("simulate-hierarchy", self.trace, "--endpoints=0", check=2)
        said = run("simulate-hierarchy", self.trace, "--weights=1,2", check=1).stderr.decode()
        self.assertIn("expected five weights", said)

    def test_mooncake(self):
        trace = DATA / "traces/mooncake-conversation.jsonl"
        if not trace.exists():
            self.skipTest(f"no {trace}")
        policies = json.loads(run("simulate-hierarchy", trace, "--json", check=0).stdout)["policies"]
        score = policies["score"]
        # The goals are 0.95, 0.15 and 1.15; docs/benchmarks.md says how near which seed comes.
        self.assertGreater(score["of_infinite"], 0.945)
        self.assertLess(score["p99_of_hash"], 0.16)
        self.assertLess(score["max_over_mean"], 1.15)
        self.assertGreater(policies["hash"]["of_infinite"], 0.98)


if __name__ == "__main__":
    unittest.main()
