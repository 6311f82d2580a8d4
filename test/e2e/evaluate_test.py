"""evaluate-hierarchy beyond its figures: comparison, leakage, suggestions, drift, several zones, the
HTML page; and build-hierarchy's gate against an old artifact."""
import json
import re
import unittest
from html.parser import HTMLParser

from support import DATA, HELP_DESK, SOURCE, ToolTest, help_desk_rows, main, run, write_rows

VOID = {"meta", "br", "wbr", "img", "input", "hr", "link"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what a page would load or run."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.outside = [], "", []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "action") or name.startswith("on"):
                self.outside.append((tag, name, value))
        if tag == "script":
            self.outside.append((tag, "", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        self.text += data


class Evaluates(ToolTest):
    def setUp(self):
        super().setUp()
        self.artifact = self.build(f"--from-examples={self.examples()}", "--targets=x86-64-v2", "-q")
        self.rows = self.folder / "desk.jsonl"

    def evaluate(self, *arguments, rows=None, check=0):
        return json.loads(run("evaluate-hierarchy", self.artifact, "-i", rows or self.rows, "--json", *arguments,
                              check=check).stdout)

    def poorer(self):
        """An artifact that has not seen half of the tree."""
        rows = [row for row in help_desk_rows() if row[1] in ("billing/refund", "tech/login", "shipping")]
        write_rows(self.folder / "few.jsonl", rows)
        return self.build(f"--from-examples={self.folder}/few.jsonl", "--targets=x86-64-v2", "-q", out="few.sdna")

    def test_figures(self):
        out = self.evaluate()
        self.assertEqual(out["rows"], 40)
        self.assertEqual(out["in_scope"], 40)
        for key in ("best_path_accuracy", "path_accuracy", "misroute", "coverage", "in_scope_rejection"):
            self.assertEqual(out[key]["total"], 40)
            self.assertLessEqual(out[key]["low"], out[key]["value"])
            self.assertLessEqual(out[key]["value"], out[key]["high"])
        self.assertLessEqual(out["macro_f1"]["low"], out["macro_f1"]["high"])
        self.assertEqual(len(out["reliability"]["bins"]), 10)
        self.assertEqual(sum(b["right"]["total"] for b in out["reliability"]["bins"]), 40)
        self.assertEqual(out["risk_coverage"]["points"][-1]["coverage"], 1)
        zones = {z["path"]: z for z in out["zones"]}
        self.assertEqual(zones["shipping"]["rows"], 8)
        self.assertEqual(zones["shipping"]["recall"]["total"], 8)
        self.assertIn("verdict", out["guarantee"])
        again = self.evaluate()
        for each in (out, again):  # times alone may differ
            for stage in each["stages"].values():
                stage.pop("median_ns", None), stage.pop("share_of_time", None)
        self.assertEqual(out, again)

    def test_against(self):
        out = self.evaluate(f"--against={self.poorer()}")["against"]
        self.assertEqual(out["verdict"], "better beyond chance")
        self.assertEqual(set(out["zones_added"]), {"billing/invoice", "tech/crash"})
        best = out["best_path"]
        self.assertEqual(best["both"] + best["only_old"] + best["only_new"] + best["neither"], 40)
        self.assertLess(best["p_value"], 0.01)
        self.assertEqual(len(out["flips"]), out["worse"] + out["better"] + out["other"])
        for flip in out["flips"]:
            self.assertIn(flip["kind"], ("worse", "better", "other"))
            self.assertTrue(flip["text"] and flip["old"]["path"] and flip["new"]["path"])
        same = self.evaluate(f"--against={self.artifact}")["against"]
        self.assertEqual((same["worse"], same["better"], same["flips"]), (0, 0, []))
        self.assertEqual(same["best_path"]["p_value"], 1)

    def test_leakage(self):
        write_rows(self.folder / "test.jsonl", [
            ("Where is  MY parcel?!", "shipping"),                      # the same but for case and marks
            ("reset my passwords", "tech/login"),                       # nearly
            ("the courier lost a violin on the way", "shipping"),       # new
            ("track my shipment", "tech/login")])                       # the same, another label
        out = self.evaluate(f"--train={self.rows}", rows=self.folder / "test.jsonl")
        leak = out["leakage"]
        self.assertEqual((leak["exact"], leak["near"], leak["other_label"]), (2, 1, 1))
        self.assertEqual(leak["without"]["rows"], 1)
        self.assertEqual(leak["only"]["rows"], 3)
        self.assertEqual(out["best_path_accuracy"]["total"], 4)
        self.assertTrue(leak["rows"][0]["training_text"])

    def test_suggestions_are_examples(self):
        rows = help_desk_rows()
        rows[3] = (rows[3][0], "tech/crash")  # a refund query with a wrong label
        rows += [("violins and pianos for the garden", "billing/invoice"), ("pianos for my garden", "billing/invoice")]
        write_rows(self.folder / "noisy.jsonl", rows)
        todo = self.folder / "todo.jsonl"
        out = self.evaluate(f"--suggest={todo}", rows=self.folder / "noisy.jsonl")["suggestions"]
        listed = [json.loads(line) for line in todo.read_text().splitlines()]
        self.assertEqual(len(listed), len(out["rows"]))
        self.assertTrue(all({"text", "label", "suggestion", "why"} <= set(row) for row in listed))
        added = [row for row in listed if row["suggestion"] == "add"]
        self.assertTrue(any(row["label"] == "billing/invoice" for row in added), listed)
        # The file is one of examples.
        run("build-hierarchy", f"--from-examples={self.rows},{todo}", "--targets=x86-64-v2", "-q", "-o",
            self.folder / "more.sdna", check=0)
        run("evaluate-hierarchy", self.artifact, "-i", self.rows, f"--suggest={todo}", check=1)  # exists
        listing = run("evaluate-hierarchy", self.artifact, "-i", self.folder / "noisy.jsonl", "--suggest", check=0)
        self.assertIn("Suggestions:", listing.stdout.decode())

    def test_drift(self):
        texts = [text for text, _ in help_desk_rows()] * 5
        usual = self.write("usual.jsonl", "".join(json.dumps({"text": t}) + "\n" for t in texts))
        strange = self.write("strange.jsonl", "".join(
            json.dumps({"text": f"sonata number {i} for violin and piano"}) + "\n" for i in range(200)))
        out = self.evaluate("--drift", f"--baseline={usual}", rows=usual)["drift"]
        self.assertFalse(out["beyond_chance"])
        self.assertEqual(out["verdict"], "no drift beyond chance")
        out = self.evaluate("--drift", f"--baseline={usual}", "--max-drift=0.25", rows=strange, check=3)["drift"]
        self.assertTrue(out["beyond_chance"])
        self.assertGreater(out["stability_index"], 0.25)
        self.assertTrue({"stages", "answers", "scores", "mix"} <= {t["name"] for t in out["tests"]})
        against = self.evaluate("--drift", f"--against={self.artifact}", rows=strange)["drift"]
        self.assertFalse(against["beyond_chance"])
        run("evaluate-hierarchy", self.artifact, "-i", usual, "--baseline", usual, check=2)
        meta = json.loads(run("inspect-artifact", self.artifact, "--json", check=0).stdout)["meta"]
        if "risk.traffic.rows" in meta:
            stated = self.evaluate("--drift", rows=strange)["drift"]
            self.assertEqual(stated["baseline"], "the calibration rows")
        else:  # nothing to compare with
            run("evaluate-hierarchy", self.artifact, "-i", usual, "--drift", check=1)

    def test_several_zones(self):
        rows = [{"text": "refund my last order please. cannot log in to my account", "labels": ["billing/refund", "tech/login"]},
                {"text": "track my shipment", "labels": ["shipping"]},
                {"text": "where is my parcel", "label": "shipping"}]
        pairs = self.write("pairs.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        out = self.evaluate("--multi", rows=pairs)
        self.assertEqual((out["rows"], out["several"]), (3, 1))
        for level in ("top", "path"):
            self.assertEqual(out["multi"][level]["at"][0]["all"]["recall"]["total"], 4)
            self.assertEqual(set(out["multi"][level]["rules"]), {"confidence", "segments", "cut"})
        bad = self.write("bad.jsonl", '{"text":"a","labels":["shiping"]}\n{"text":"b","labels":"x"}\n{"text":"c"}\n')
        result = run("evaluate-hierarchy", self.artifact, "-i", bad, "--multi", check=1)
        errors = result.stderr.decode()
        for pattern in (r"bad\.jsonl:1: error: .*shiping", "did you mean 'shipping'", r"bad\.jsonl:2: error: .*labels",
                        r"bad\.jsonl:3: error: .*labels"):
            self.assertRegex(errors, pattern)

    def test_page(self):
        hostile = [("<script>alert(1)</script>", "tech/crash"), ('"\'><img src=http://example.com onerror=x>', "shipping"),
                   ("\u202eevil\u0007 &amp; </table></body>", "<b>x</b>"), ("]]><!-- -->", "billing/refund")]
        write_rows(self.folder / "hostile.jsonl", help_desk_rows() + hostile)
        page = self.folder / "report.html"
        run("evaluate-hierarchy", self.artifact, "-i", self.folder / "hostile.jsonl", f"--report={page}",
            f"--against={self.poorer()}", f"--train={self.rows}", "--suggest", check=0)
        text = page.read_text(encoding="utf-8")
        parsed = Page(text)
        self.assertEqual(parsed.outside, [])
        self.assertNotIn("url(", text)
        for word in ("Best guess right", "Misrouted", "at coverage", "Against the old artifact", "Risk against coverage",
                     "Does confidence mean what it says", "Zone tree", "Worst zones", "Most confused pairs",
                     "Answers that changed", "Rows that training has seen", "Suggestions"):
            self.assertIn(word, parsed.text)
        self.assertIn("<script>alert(1)</script>", parsed.text)  # as text
        self.assertGreaterEqual(text.count("<svg"), 2)
        run("evaluate-hierarchy", self.artifact, "-i", self.rows, f"--report={page}", check=1)  # exists
        run("evaluate-hierarchy", self.artifact, "-i", self.rows, f"--report={page}", "-f", check=0)
        drift = self.folder / "drift.html"
        run("evaluate-hierarchy", self.artifact, "-i", self.rows, "--drift", f"--baseline={self.rows}", f"--report={drift}",
            check=0)
        self.assertIn("no drift beyond chance", Page(drift.read_text(encoding="utf-8")).text)

    def test_bad_input(self):
        def fails(code, *arguments, saying="."):
            result = run("evaluate-hierarchy", *arguments, check=code)
            self.assertRegex(result.stderr.decode(), saying)
        rows, artifact = self.rows, self.artifact
        fails(2, saying="which artifact")
        fails(2, artifact, saying="which queries")
        fails(1, artifact, "-i", self.write("empty.jsonl", ""), saying="empty.jsonl.*empty")
        fails(1, artifact, "-i", self.folder / "none.jsonl", saying="none.jsonl")
        fails(1, artifact, "-i", self.write("nan.jsonl", '{"text": "a", "label": "shipping", "score": NaN}\n'),
              saying=r"nan\.jsonl:1")
        fails(1, artifact, "-i", self.write("plain.jsonl", '{"text": "a"}\n'), saying=r"plain\.jsonl:1.*label")
        fails(1, artifact, "-i", self.write("other.jsonl", '{"text": "a", "label": "zoo/lions"}\n'),
              saying="no label names a zone")
        fails(0, artifact, "-i", self.write("typo.jsonl", '{"text": "a", "label": "shiping"}\n{"text": "b", "label": "shipping"}\n'),
              saying=r"(?s)typo\.jsonl:1: warning: label 'shiping'.*did you mean 'shipping'")
        fails(0, artifact, "-i", self.write("root.jsonl", '{"text": "a", "label": "/"}\n'), saying="no row is in scope")
        fails(3, artifact, "-i", self.folder / "root.jsonl", "--min-accuracy=0.1", saying="no query is in scope")
        fails(1, rows, "-i", rows)
        fails(1, artifact, "-i", rows, f"--against={rows}")
        fails(1, artifact, "-i", rows, "--against=/no/such.sdna")
        fails(1, artifact, "-i", rows, "--train=/no/such.jsonl")
        for option in ("--min-accuracy=nan", "--min-accuracy=1.5", "--max-misroute=-1", "--max-drift=0.1", "--stages=4",
                       "--report=", "--seed=-1"):
            fails(2, artifact, "-i", rows, option)
        fails(2, artifact, "-i", rows, "--drift", "--min-accuracy=0.5")
        fails(2, artifact, "-i", rows, "--multi", "--suggest")
        text = self.write("notes.txt", "a heron stands in the shallow water\n\n" * 40)
        run("mine-patterns", "--domain=birds", f"--input={text}", "-o", self.folder / "birds.plib", check=0)
        fails(4, self.folder / "birds.plib", "-i", rows)
        fails(4, artifact, "-i", rows, f"--against={self.folder}/birds.plib")


SPEC = """
name: "desk" serial: {serial}
zone {{ name: "billing." examples: "{rows}"
  zone {{ name: "refund.billing." }}
  zone {{ name: "invoice.billing." }} }}
zone {{ name: "shipping." keyword: "{keyword}" keyword: "delivery" }}
{tests}
"""


class Gate(ToolTest):
    def setUp(self):
        super().setUp()
        write_rows(self.folder / "billing.jsonl", [row for row in help_desk_rows() if row[1].startswith("billing/")])
        self.old = self.build(self.spec(1, "parcel", 'test { query: "where is my parcel" zone: "shipping." }'),
                              "--targets=x86-64-v2", "-q", out="old.sdna")

    def spec(self, serial, keyword, tests=""):
        return self.write(f"desk{serial}.txtpb", SPEC.format(serial=serial, rows="billing.jsonl", keyword=keyword, tests=tests))

    def gated(self, spec, *arguments, check):
        out = self.folder / "new.sdna"
        return run("build-hierarchy", spec, "--targets=x86-64-v2", f"--against={self.old}", *arguments, "-o", out, "-f",
                   check=check), out

    def test_a_golden_query_that_turns_wrong_stops_the_build(self):
        worse = self.spec(2, "shipment")
        out = self.write("new.sdna", "precious")
        result, _ = self.gated(worse, check=3)
        errors = result.stderr.decode()
        self.assertRegex(errors, r'error: regression: "where is my parcel" was answered right by shipping .*, now by ')
        self.assertIn("1 regressions of 1 queries, at most 0 allowed", errors)
        self.assertEqual(out.read_text(), "precious")
        allowed, _ = self.gated(worse, "--max-regressions=1", check=0)
        self.assertRegex(allowed.stderr.decode(), "warning: regression")
        self.assertNotEqual(out.read_bytes(), b"precious")
        same, _ = self.gated(self.spec(3, "parcel"), check=0)
        self.assertNotIn("regression:", same.stderr.decode())

    def test_regression_set(self):
        rows = self.folder / "set.jsonl"
        write_rows(rows, [("my parcel please", "shipping"), ("a parcel", "shipping"), ("delivery date", "shipping")])
        result, _ = self.gated(self.spec(2, "shipment"), f"--regression-set={rows}", "--max-regressions=2", check=3)
        errors = result.stderr.decode()
        self.assertRegex(errors, r"set\.jsonl:1: error: regression: \"my parcel please\"")
        self.assertRegex(errors, r"set\.jsonl:2: error: regression")
        self.assertNotRegex(errors, r"set\.jsonl:3")
        self.assertIn("3 regressions of 4 queries, at most 2 allowed", errors)
        self.gated(self.spec(2, "shipment"), f"--regression-set={rows}", "--max-regressions=3", check=0)
        write_rows(rows, [("a parcel", "shiping")])
        wrong, _ = self.gated(self.spec(2, "parcel"), f"--regression-set={rows}", check=1)
        self.assertRegex(wrong.stderr.decode(), r"(?s)set\.jsonl:1: error: label 'shiping'.*did you mean 'shipping'")

    def test_bad_input(self):
        spec = self.spec(2, "parcel")
        run("build-hierarchy", spec, "--max-regressions=1", "-o", self.folder / "x.sdna", check=2)
        run("build-hierarchy", spec, f"--against={self.old}", "--max-regressions=-1", "-o", self.folder / "x.sdna", check=2)
        result = run("build-hierarchy", spec, "--against=/no/such.sdna", "-o", self.folder / "x.sdna", check=1)
        self.assertIn("/no/such.sdna", result.stderr.decode())
        result = run("build-hierarchy", spec, f"--against={spec}", "-o", self.folder / "x.sdna", check=1)
        self.assertFalse((self.folder / "x.sdna").exists())


@unittest.skipUnless((DATA / "routing").is_dir(), f"SKIPPED: no routing sets at {DATA}")
class OnRealRows(ToolTest):
    def test_wrong_labels_and_pairs(self):
        """Five per cent of wrong labels in clinc150's test file: at least half of what is suggested is
        wrong, and at least half of what is wrong is suggested; the surest are nearly all wrong."""
        import random
        artifact = self.build(f"--from-examples={DATA}/routing/clinc150.train.jsonl", "--root-label=oos",
                              "--targets=x86-64-v3", "-q")
        rows = [json.loads(line) for line in (DATA / "routing/clinc150.test.jsonl").read_bytes().split(b"\n") if line]
        rng = random.Random(7)
        labels = sorted({row["label"] for row in rows})
        wrong = set(rng.sample(range(len(rows)), len(rows) // 20))
        write_rows(self.folder / "noisy.jsonl",
                   [(row["text"], rng.choice([l for l in labels if l != row["label"]]) if i in wrong else row["label"])
                    for i, row in enumerate(rows)])
        out = json.loads(run("evaluate-hierarchy", artifact, "-i", self.folder / "noisy.jsonl", "--suggest", "--json",
                             check=0).stdout)
        found = [int(s["from"].rsplit(":", 1)[1]) - 1 for s in out["suggestions"]["rows"] if s["suggestion"] == "relabel"]
        hits = sum(line in wrong for line in found)
        print(f"wrong labels: {len(wrong)}, suggested {len(found)}, of these wrong {hits}")
        self.assertGreater(hits, len(wrong) / 2)
        self.assertGreater(hits, len(found) / 2)
        self.assertGreater(sum(line in wrong for line in found[:40]), 32)
        # Near copies of training rows are what the data's README says of this split: about 5 %.
        out = json.loads(run("evaluate-hierarchy", artifact, "-i", DATA / "routing/clinc150.test.jsonl", "--json",
                             f"--train={DATA}/routing/clinc150.train.jsonl", check=0).stdout)["leakage"]
        self.assertEqual(out["exact"], 0)
        self.assertTrue(100 < out["near"] < 250, out["near"])
        pairs = self.folder / "pairs.jsonl"
        import subprocess
        import sys
        subprocess.run([sys.executable, SOURCE / "test/perf/pairs.py", "make", DATA / "routing/clinc150.test.jsonl", "-o", pairs],
                       check=True)
        out = json.loads(run("evaluate-hierarchy", artifact, "-i", pairs, "--multi", "--json", check=0).stdout)
        at = out["multi"]["top"]["at"][1]["several"]
        print(f"two domains: precision@2 {at['precision']['value']:.3f}, recall@2 {at['recall']['value']:.3f}")
        self.assertGreater(at["recall"]["value"], 0.6)


if __name__ == "__main__":
    main()
