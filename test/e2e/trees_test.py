"""Search trees end to end: what a build with a beam records, keeps and promises."""
import json
import random

from support import ToolTest, main, run, write_rows


def rows(seed, per_zone, noise):
    """Texts of 60 zones on three levels; each zone has words of its own and shares others with its kin."""
    chance = random.Random(seed)
    out = []
    for a in range(4):
        for b in range(5):
            for c in range(3):
                own = [f"own{a}x{b}x{c}y{i}" for i in range(4)]
                kin = [f"kin{a}x{b}y{i}" for i in range(4)] + [f"top{a}y{i}" for i in range(4)]
                for _ in range(per_zone):
                    words = [chance.choice(own if chance.random() > noise else kin) for _ in range(5)]
                    out.append((" ".join(words), f"t{a}/k{b}/z{c}"))
    return out


class Trees(ToolTest):
    def setUp(self):
        super().setUp()
        self.train, self.held = self.folder / "train.jsonl", self.folder / "held.jsonl"
        write_rows(self.train, rows(1, 12, 0.5))
        write_rows(self.held, rows(2, 10, 0.7))

    def artifact(self, beam, *more):
        return self.build(f"--from-examples={self.train}", f"--calibration={self.held}", f"--beam={beam}",
                          "--targets=x86-64-v3", *more, out=f"beam{beam}.sdna")

    def test_recorded_and_shown(self):
        shape = json.loads(run("inspect-artifact", self.artifact(2), "--json", check=0).stdout)
        beam = shape["stages"]["embedding"]["beam"]
        self.assertEqual(beam["width"], 2)
        self.assertGreaterEqual(beam["entries"], shape["class_count"])
        self.assertIn(b"search tree:", run("inspect-artifact", self.artifact(2, "-f"), check=0).stdout)
        flat = json.loads(run("inspect-artifact", self.artifact(0), "--json", check=0).stdout)
        self.assertNotIn("beam", flat["stages"]["embedding"])
        self.assertNotIn("BEAM", [s["tag"] for s in flat["sections"]])

    def test_same_bytes_for_any_thread_count(self):
        one = self.artifact(3, "-j1").read_bytes()
        self.assertEqual(one, self.artifact(3, "-j3", "-f").read_bytes())

    def test_calibration_counts_what_the_beam_loses(self):
        # The promise is about the cascade with its beam: its misroutes are those that asking shows.
        artifact = self.artifact(1)
        risk = json.loads(run("inspect-artifact", artifact, "--json", check=0).stdout)["meta"]
        said = run("resolve-query", f"@{artifact}", "-i", self.held, "--json", check=0).stdout
        answers = [json.loads(line) for line in said.decode().splitlines()]
        truth = [label for _, label in rows(2, 10, 0.7)]
        wrong = sum(a["path"] != "/" and not (t + "/").startswith(a["path"] + "/")
                    for a, t in zip(answers, truth, strict=True))
        self.assertEqual(risk["risk.n"], str(len(truth)))
        self.assertEqual(risk["risk.errors"], str(wrong))


if __name__ == "__main__":
    main()
