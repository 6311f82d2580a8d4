"""The decision log's round trip: what the cascade climbed on is logged, read by evaluate-hierarchy, labelled
and trained on."""
import json

from support import HELP_DESK, ToolTest, help_desk_rows, main, run, write_rows

KNOWN = ("billing/refund", "tech/login", "shipping")


class Log(ToolTest):
    def test_climbs_become_examples(self):
        few = self.folder / "few.jsonl"
        write_rows(few, [row for row in help_desk_rows() if row[1] in KNOWN])
        artifact = self.build(f"--from-examples={few}", "--targets=x86-64-v2", "-q", out="few.sdna")
        new = {text: label for text, label in help_desk_rows() if label not in KNOWN}
        lines = [f"ARTIFACT main file={artifact}", "OPTION log-text=200 log=64", "CONFIG", "set log-climbs 1000",
                 "policy board pin to=shipping. text=board", "END"]
        lines += [f'STEP 1 RUN q{i} "{text}" id=row-{i}' for i, text in enumerate(new)]
        lines += ['STEP 2 RUN known "where is my parcel"', "STEP 3 CHECK stats log_lost=0"]
        script, log = self.write("traffic.scn", "\n".join(lines) + "\n"), self.folder / "log.jsonl"
        run("replay-scenario", script, f"--log={log}", check=0)
        run("replay-scenario", script, f"--log={log}", check=1)  # an existing file is kept
        records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        self.assertGreater(len(records), 3)
        for record in records:
            self.assertIn(record["status"], ("FALLBACK", "NOZONE"))
            self.assertEqual(new[record["text"]], new[list(new)[int(record["id"][4:])]])
            self.assertNotIn("label", record)

        # Without labels: is it like earlier traffic?
        drift = json.loads(run("evaluate-hierarchy", artifact, "-i", log, "--drift", f"--baseline={few}", "--json",
                               check=0).stdout)
        self.assertIn("drift", json.dumps(drift))

        # Somebody says what the climbed rows are; every other key may stay.
        for record in records:
            record["label"] = new[record["text"]]
        labelled = self.folder / "labelled.jsonl"
        labelled.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        both = self.folder / "both.jsonl"
        both.write_text(few.read_text(encoding="utf-8") + labelled.read_text(encoding="utf-8"), encoding="utf-8")
        trained = self.build(f"--from-examples={both}", "--targets=x86-64-v2", "-q", out="more.sdna")
        figures = json.loads(run("evaluate-hierarchy", trained, "-i", labelled, "--json", check=0).stdout)
        self.assertEqual(figures["rows"], len(records))
        self.assertGreater(figures["best_path_accuracy"]["value"], 0.8)


if __name__ == "__main__":
    main()
