"""build-hierarchy: determinism, every kind of tree, diagnostics, safe output."""
import json
import os
import re
import signal
import subprocess
import time

from support import BIN, ToolTest, help_desk_rows, main, run, write_rows

SPEC = """
name: "desk" serial: 7
engine { name: "small" tier: DOMAIN max_context: 8192 cost_per_mtok: 0.1 }
engine { name: "large" tier: ROOT max_context: 131072 cost_per_mtok: 2.5 region: "eu" }
zone { name: "billing." ttl: 600 engine: "small" examples: "billing.jsonl"
  zone { name: "refund.billing." }
  zone { name: "invoice.billing." } }
zone { name: "shipping." keyword: "parcel" keyword: "delivery" keyword: "shipment" }
test { query: "refund my order" zone: "billing." }
"""


class Builds(ToolTest):
    def spec(self, text=SPEC):
        write_rows(self.folder / "billing.jsonl",
                   [row for row in help_desk_rows() if row[1].startswith("billing/")])
        return self.write("desk.txtpb", text)

    def resolve(self, artifact, *texts):
        out = run("resolve-query", f"@{artifact}", "--json", *texts, check=0).stdout
        return [json.loads(line) for line in out.splitlines()]

    def test_same_inputs_same_bytes(self):
        first = self.folder / "a"
        second = self.folder / "b"
        outputs = []
        for folder, jobs in ((first, 1), (second, 2)):
            folder.mkdir()
            write_rows(folder / "desk.jsonl", help_desk_rows())
            subprocess.run([BIN / "build-hierarchy", "--from-examples=desk.jsonl", "-o", "desk.sdna", f"-j{jobs}"],
                           cwd=folder, check=True, capture_output=True)
            outputs.append((folder / "desk.sdna").read_bytes())
        self.assertEqual(outputs[0], outputs[1])

    def test_spec_with_keywords_examples_and_engines(self):
        artifact = self.build(self.spec())
        refund, parcel = self.resolve(artifact, "can you refund my order", "where is my parcel")
        self.assertEqual(refund["best_path"], "billing/refund")
        self.assertEqual(parcel["best_path"], "shipping")
        self.assertEqual(parcel["zone"], "shipping.")
        self.assertEqual(refund["serial"], 7)
        if refund["path"].startswith("billing"):
            self.assertEqual(refund["ttl"], 600)

    def test_keywords_alone(self):
        artifact = self.build(self.write("k.txtpb", """
            name: "k"
            zone { name: "legal." keyword: "indemnity" keyword: "non-disclosure agreement" }
            zone { name: "medical." keyword: "aspirin" keyword: "blood pressure" }"""))
        legal, medical = self.resolve(artifact, "is a Non-Disclosure Agreement binding", "what is normal blood pressure?")
        self.assertEqual((legal["path"], medical["path"]), ("legal", "medical"))
        self.assertEqual(legal["stage"], "keyword")

    def test_corpora_alone(self):
        self.write("sea.txt", "\n\n".join(
            f"The {a} sails past the {b} harbour while sailors watch the tide and the waves." for a in
            ("ship", "boat", "schooner", "ferry", "frigate") for b in ("old", "new", "northern", "quiet", "deep")))
        self.write("kitchen.txt", "\n\n".join(
            f"Stir the {a} in the {b} pan and season the soup with salt, pepper and garlic." for a in
            ("onion", "carrot", "leek", "tomato", "celery") for b in ("large", "small", "iron", "copper", "hot")))
        artifact = self.build(self.write("c.txtpb", """
            name: "c"
            zone { name: "sea." corpus: "sea.txt" }
            zone { name: "kitchen." corpus: "kitchen.txt" }"""))
        sea, kitchen = self.resolve(artifact, "which tide do sailors wait for in the harbour", "season my tomato soup")
        self.assertEqual((sea["best_path"], kitchen["best_path"]), ("sea", "kitchen"))

    def test_derived_spec_builds_the_same_tree(self):
        examples = self.examples()
        run("build-hierarchy", f"--from-examples={examples}", f"--dump-spec={self.folder}/dumped.txtpb", check=0)
        direct = self.build(f"--from-examples={examples}", out="direct.sdna")
        dumped = self.build(self.folder / "dumped.txtpb", out="dumped.sdna")
        texts = [text for text, _ in help_desk_rows()]
        pick = lambda rows: [(r["path"], r["best_path"], r["confidence"]) for r in rows]
        self.assertEqual(pick(self.resolve(direct, *texts)), pick(self.resolve(dumped, *texts)))

    def test_paths_keep_the_labels_own_spelling(self):
        rows = [(t, label.replace("billing/refund", "Billing Desk/money_back")) for t, label in help_desk_rows()]
        write_rows(self.folder / "odd.jsonl", rows)
        artifact = self.build(f"--from-examples={self.folder}/odd.jsonl")
        answer, = self.resolve(artifact, "refund my last order please")
        self.assertEqual(answer["best_path"], "Billing Desk/money_back")

    def test_root_label(self):
        rows = help_desk_rows() + [(f"tell me a joke about {w}", "oos") for w in
                                   "cats dogs rain trains pianos bakers goats clouds".split()]
        write_rows(self.folder / "oos.jsonl", rows)
        artifact = self.build(f"--from-examples={self.folder}/oos.jsonl", "--root-label=oos")
        joke, = self.resolve(artifact, "tell me a joke about goats and trains")
        self.assertEqual(joke["path"], "/")
        self.assertNotEqual(joke["best_path"], "/")

    def test_failing_test_block_is_a_negative_verdict(self):
        spec = self.spec(SPEC + 'test { query: "refund my last order please" zone: "shipping." }\n')
        result = self.build(spec, check=3)
        self.assertRegex(result.stderr.decode(), r"desk\.txtpb:\d+:\d+: error: .*test")
        self.assertFalse((self.folder / "out.sdna").exists())

    def test_one_run_reports_all_errors_with_places(self):
        spec = self.spec("""
            name: "bad"
            risk { alpha: 1.5 }
            zone { name: "billing." engine: "smal" examples: "billing.jsonl" colour: "red" }
            zone { name: "billing." keyword: "x" }
            zone { name: "empty." }
            zone { name: "bad..name." keyword: "y" }
            engine { name: "small" }
            zone { name: "m." examples: "missing.jsonl" }
            zone { name: "medical." keyword: "z" zone { name: "contracts.legal." keyword: "w" } }
        """)
        errors = self.build(spec, check=1).stderr.decode()
        for pattern in (r":3:\d+: error: .*alpha", r":4:\d+: error: .*smal", "did you mean 'small'",
                        r":4:\d+: error: .*colour", r":5:\d+: error: .*billing\.", r":6:\d+: error: .*empty\.",
                        r":7:\d+: error: .*bad\.\.name\.", r"missing\.jsonl", r":10:\d+: error: .*contracts\.legal\."):
            self.assertRegex(errors, pattern)

    def test_bad_example_files(self):
        cases = {
            b"": "empty",
            b"\x00\x01\x02": "binary",
            b'{"text":"a","label":"x"}\n{"text":"\xff","label":"x"}\n': r"bad\.jsonl:2:10: error: not UTF-8",
            b'{"text":"a","label":"a b"}\n{"text":"b","label":"a_b"}\n': "a_b",
        }
        for content, pattern in cases.items():
            with self.subTest(pattern=pattern):
                path = self.write("bad.jsonl", content)
                result = self.build(f"--from-examples={path}", check=1)
                self.assertRegex(result.stderr.decode(), pattern)
                self.assertFalse((self.folder / "out.sdna").exists())

    def test_label_without_a_zone(self):
        spec = self.spec(SPEC.replace("refund.billing.", "refunds.billing."))
        errors = self.build(spec, check=1).stderr.decode()
        self.assertRegex(errors, r"billing\.jsonl:\d+.*error")
        self.assertIn("refunds", errors)

    def test_an_existing_output_is_kept_unless_forced(self):
        examples = self.examples()
        out = self.write("out.sdna", "precious")
        result = run("build-hierarchy", f"--from-examples={examples}", "-o", out, check=1)
        self.assertIn("-f", result.stderr.decode())
        self.assertEqual(out.read_text(), "precious")
        run("build-hierarchy", f"--from-examples={examples}", "-o", out, "-f", check=0)
        self.assertNotEqual(out.read_bytes(), b"precious")

    def test_a_kill_leaves_the_old_file_or_the_new_one(self):
        examples = self.examples()
        new = self.build(f"--from-examples={examples}", out="new.sdna").read_bytes()
        out = self.write("out.sdna", "old")
        for step in range(12):
            process = subprocess.Popen([BIN / "build-hierarchy", f"--from-examples={examples}", "-o", out, "-f"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.03 * (step + 1))
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertIn(out.read_bytes(), (b"old", new))

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        for output in ("--dump-spec=/dev/full", "--output=/dev/full"):
            result = run("build-hierarchy", f"--from-examples={self.examples()}", output, "-f", check=1)
            self.assertIn("No space left", result.stderr.decode())

    def test_serial_reused_for_other_bytes(self):
        spec = self.spec()
        out = self.build(spec)
        again = run("build-hierarchy", spec, "-o", out, "-f", check=0)
        self.assertNotIn("warning", again.stderr.decode())
        changed = self.spec(SPEC.replace('"parcel"', '"parcels"'))
        warned = run("build-hierarchy", changed, "-o", out, "-f", check=0)
        self.assertRegex(warned.stderr.decode(), "warning: .*serial 7")

    def test_targets_dumps_and_phases(self):
        examples = self.examples()
        artifact = self.build(f"--from-examples={examples}", "--targets=x86-64-v3", f"--dump-ir-to={self.folder}/ir", "--timing")
        listing = json.loads(run("inspect-artifact", artifact, "--json", check=0).stdout)
        kernels = [s for s in listing["sections"] if s["tag"] == "KCPU"]
        self.assertEqual(len(kernels), 1)
        dumped = sorted(p.name for p in (self.folder / "ir").iterdir())
        for phase in ("zone", "route", "lowered", "llvm"):
            self.assertTrue(any(phase in name for name in dumped), dumped)
        for phase, marker in (("spec", "zone {"), ("zone", "zone.hierarchy"), ("route", "route.program"),
                              ("lowered", "llvm."), ("llvm", "define")):
            out = run("build-hierarchy", f"--from-examples={examples}", f"--stop-after={phase}", check=0).stdout.decode()
            self.assertIn(marker, out)
        run("build-hierarchy", f"--from-examples={examples}", "-o", self.folder / "x.sdna", "--targets=x86-64-v9", check=2)

    def test_lost_output_is_no_success(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            process = subprocess.run([BIN / "build-hierarchy", f"--from-examples={self.examples()}", "--stop-after=zone"],
                                     stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(process.returncode, 1, process.stderr)

    def test_usage_errors(self):
        for wrong in ("--serial=-1", "--serial=99999999999999999999", "--name=", "--targets="):
            run("build-hierarchy", f"--from-examples={self.examples()}", wrong, "-o", self.folder / "x", check=2)
        run("build-hierarchy", check=2)
        run("build-hierarchy", "--no-such-flag", check=2)
        examples = self.examples()
        empty = self.folder / "no-encoder"
        empty.mkdir()
        result = run("build-hierarchy", f"--from-examples={examples}", "-o", self.folder / "x", f"--encoder={empty}", check=1)
        self.assertIn("config.json: error: file is missing", result.stderr.decode())
        result = run("build-hierarchy", f"--from-examples={examples}", "-o", self.folder / "x", "--finetune", check=1)
        self.assertIn("there is no encoder", result.stderr.decode())
        self.assertIn("Examples:", run("build-hierarchy", "--help", check=0).stdout.decode())

    def test_small_and_lopsided_sets(self):
        cases = {
            "two rows": [("a cat", "cat"), ("a dog", "dog")],
            "one class": [("a cat", "cat"), ("another cat", "cat")],
            "contradiction": help_desk_rows() + [("where is my parcel", "billing/refund")],
            "empty text": help_desk_rows() + [("", "shipping"), ("\u0000", "shipping")],
        }
        for name, rows in cases.items():
            with self.subTest(name):
                write_rows(self.folder / "rows.jsonl", rows)
                artifact = self.build(f"--from-examples={self.folder}/rows.jsonl", "-f")
                answer, = self.resolve(artifact, rows[0][0])
                self.assertEqual(answer["best_path"], rows[0][1])

    def test_warnings_can_be_fatal(self):
        write_rows(self.folder / "rows.jsonl", help_desk_rows() + [("where is my parcel", "billing/refund")])
        result = self.build(f"--from-examples={self.folder}/rows.jsonl", "--Werror", check=1)
        self.assertRegex(result.stderr.decode(), "where is my parcel")


if __name__ == "__main__":
    main()
