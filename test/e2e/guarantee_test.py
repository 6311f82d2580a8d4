"""The statistical guarantee, tried out on artifacts: the whole way on a small set, and on the public
routing sets of ../shared/data, where they are present. SEMDNS_ENCODER names an encoder's folder to
build the latter with stage 3."""
import json
import os
import random
import struct
import unittest

from support import DATA, ToolTest, help_desk_rows, main, run, write_rows

# Set: label of out-of-scope rows, misroute rates that bind without an encoder, and with one.
SETS = {"clinc150": ("oos", (0.015, 0.02, 0.025), (0.008, 0.01, 0.012)),
        "banking77": (None, (0.04, 0.05, 0.06), (0.03, 0.04, 0.05))}
DRAWS = 1000


def read_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def sections(path):
    """{(tag, target): bytes} of an artifact, and its serial."""
    data = path.read_bytes()
    count, = struct.unpack_from("<I", data, 48)
    serial, = struct.unpack_from("<Q", data, 56)
    out = {}
    for i in range(count):
        at = 128 + 96 * i
        tag, target = data[at:at + 4].decode(), struct.unpack_from("<I", data, at + 8)[0]
        offset, size = struct.unpack_from("<QQ", data, at + 16)
        out[tag, target] = data[offset:offset + size]
    return out, serial


def meta(path):
    data = sections(path)[0]["META", 0]
    count, _ = struct.unpack_from("<II", data)
    at, pairs = 8, {}
    for _ in range(count):
        key, value = struct.unpack_from("<II", data, at)
        at += 8
        pairs[data[at:at + key].decode()] = data[at + key:at + key + value].decode()
        at += key + value
    return pairs


def answers(artifact, path):
    out = run("resolve-query", f"@{artifact}", "--json", "-i", path, check=0).stdout
    return [json.loads(line) for line in out.decode().split("\n") if line]


def misroutes(artifact, path, root_label=None):
    """(in-scope rows, misroutes, covered) by what resolve-query answers."""
    rows = read_rows(path)
    count = wrong = covered = 0
    for row, answer in zip(rows, answers(artifact, path)):
        if row["label"] == root_label:
            continue
        truth = row["label"].split("/")
        answered = [] if answer["path"] == "/" else answer["path"].split("/")
        count += 1
        wrong += truth[:len(answered)] != answered
        covered += len(answered) >= len(truth)
    return count, wrong, covered


class Calibration(ToolTest):
    def test_rows_that_training_knows(self):
        rows = [(text + " " + word, label) for word in ("please", "now", "thanks") for text, label in help_desk_rows()]
        write_rows(self.folder / "own.jsonl", rows + help_desk_rows())
        artifact = self.folder / "out.sdna"
        result = run("build-hierarchy", "--from-examples", self.examples(), f"--calibration={self.folder}/own.jsonl",
                     "--alpha=0.3", "--targets=x86-64-v2", "-o", artifact, check=0).stderr.decode()
        self.assertIn(f"leakage: of {len(rows) * 4 // 3} calibration rows {len(rows) // 3} have the words", result)
        pairs = meta(artifact)
        self.assertEqual((pairs["risk.n"], pairs["risk.alpha"]), (str(len(rows) * 4 // 3), "0.3"))
        count, wrong, covered = misroutes(artifact, self.folder / "own.jsonl")
        self.assertEqual(pairs["risk.errors"], str(wrong))
        self.assertEqual(pairs["risk.coverage"], f"{covered}/{count}")


class Recalibration(ToolTest):
    def test_other_thresholds_and_nothing_else(self):
        old = self.build("--from-examples", self.examples(), "--targets=x86-64-v2", "--serial=7")
        words = random.Random(1)
        rows = []
        for _ in range(3):  # the examples, with words between: easy enough
            rows += [(text + " " + words.choice(["please", "now", "thanks", "today"]), label)
                     for text, label in help_desk_rows()]
        calibration = self.folder / "calibration.jsonl"
        write_rows(calibration, rows)
        new = self.build(f"--recalibrate={old}", f"--calibration={calibration}", "--alpha=0.2", out="new.sdna")
        (before, serial), (after, later) = sections(old), sections(new)
        self.assertEqual((serial, later), (7, 8))
        self.assertEqual(before.keys(), after.keys())
        for key in before:
            if key[0] not in ("META", "CLSF", "HEAD"):
                self.assertEqual(before[key], after[key], key)
        pairs = meta(new)
        self.assertEqual(pairs["risk.holds"], "yes")
        self.assertEqual(pairs["risk.alpha"], "0.2")
        count, wrong, covered = misroutes(new, calibration)
        self.assertEqual(pairs["risk.n"], str(count))
        self.assertEqual(pairs["risk.errors"], str(wrong))
        self.assertEqual(pairs["risk.coverage"], f"{covered}/{count}")
        self.assertGreater(covered, count / 2)
        # What was found under the old thresholds goes with them.
        others = {k: v for k, v in pairs.items() if not k.startswith("risk.")}
        self.assertEqual(others, {k: v for k, v in meta(old).items() if not k.startswith(("risk.", "facts."))})
        self.assertEqual(pairs["risk.traffic.rows"], str(count))
        # The same again, with another number of threads: the same bytes.
        again = self.build(f"--recalibrate={old}", f"--calibration={calibration}", "--alpha=0.2", "-j1",
                           out="again.sdna")
        self.assertEqual(new.read_bytes(), again.read_bytes())

    def test_bad_input(self):
        old = self.build("--from-examples", self.examples(), "--targets=x86-64-v2")
        stray = self.folder / "stray.jsonl"
        write_rows(stray, [("where is it", "shipping"), ("hm", "tech/logon"), ("ha", "a//b")])
        result = run("build-hierarchy", f"--recalibrate={old}", f"--calibration={stray}", "-o",
                     self.folder / "x.sdna", check=1).stderr.decode()
        self.assertIn("stray.jsonl:2:", result)
        self.assertIn("did you mean 'tech/login'", result)
        self.assertIn("stray.jsonl:3:", result)
        self.assertFalse((self.folder / "x.sdna").exists())
        result = run("build-hierarchy", "--from-examples", self.examples(), f"--calibration={stray}", "-o",
                     self.folder / "x.sdna", check=1).stderr.decode()
        self.assertIn("stray.jsonl:2:", result)
        few = self.folder / "few.jsonl"
        write_rows(few, [("where is my parcel now", "shipping")] * 9)
        result = run("build-hierarchy", f"--recalibrate={old}", f"--calibration={few}", "-o",
                     self.folder / "few.sdna", check=0).stderr.decode()
        self.assertIn("9 in-scope calibration rows are fewer", result)
        self.assertIn("at least 59", result)
        self.assertEqual({a["path"] for a in answers(self.folder / "few.sdna", few)}, {"/"})
        for arguments in (["--recalibrate=" + str(old), "-o", "y.sdna"],
                          ["--recalibrate=" + str(old), f"--calibration={few}"],
                          ["--recalibrate=" + str(old), f"--calibration={few}", "--finetune", "-o", "y.sdna"],
                          ["--recalibrate=" + str(old), f"--calibration={few}", "--alpha=2", "-o", "y.sdna"]):
            run("build-hierarchy", *arguments, check=2)
        broken = self.write("broken.sdna", old.read_bytes()[:-64])
        run("build-hierarchy", f"--recalibrate={broken}", f"--calibration={few}", "-o", self.folder / "y.sdna", check=1)


@unittest.skipUnless((DATA / "routing").is_dir(), f"SKIPPED: no routing sets at {DATA}")
class Guarantee(ToolTest):
    def test_population_risk(self):
        encoder = os.environ.get("SEMDNS_ENCODER")
        for name, (root_label, light, full) in SETS.items():
            with self.subTest(name):
                extra = [f"--root-label={root_label}"] if root_label else []
                extra += [f"--encoder={encoder}"] if encoder else []
                artifact = self.build(f"--from-examples={DATA}/routing/{name}.train.jsonl", "--targets=x86-64-v3",
                                      *extra, out=f"{name}.sdna")
                population = DATA / f"routing/{name}.test.jsonl"
                # Over three rates, so that no single step of one model's risk decides.
                broken, naive, runs = {}, {}, full if encoder else light
                for alpha in runs:
                    out = run("try-guarantee", artifact, population, f"--alpha={alpha}", f"--draws={DRAWS}",
                              check=0).stdout.decode()
                    for line in out.splitlines():
                        report = json.loads(line)
                        stages, tested = report["stages"], report["tested"]
                        print(f"{name}, stages {stages}, alpha {alpha}: tested broken {tested['broken']}/{DRAWS}, "
                              f"coverage {tested['coverage']:.4f}; naive broken {report['naive']['broken']}, coverage "
                              f"{report['naive']['coverage']:.4f}; oracle coverage {report['oracle_coverage']:.4f}")
                        self.assertGreater(report["full_risk"], alpha, "alpha does not bind")
                        broken[stages] = broken.get(stages, 0) + tested["broken"] / DRAWS / len(runs)
                        naive[stages] = naive.get(stages, 0) + report["naive"]["broken"] / DRAWS / len(runs)
                for stages in broken:
                    self.assertLessEqual(broken[stages], 0.05 + 2 * (0.05 * 0.95 / DRAWS) ** 0.5)
                    self.assertGreater(naive[stages], 0.25, "the harness is blunt")
                # The whole way for one draw: the thresholds in the file are those that were tested.
                rows = read_rows(population)
                draw = self.folder / "draw.jsonl"
                chosen = random.Random(7).choices(rows, k=len(rows))
                write_rows(draw, [(row["text"], row["label"]) for row in chosen])
                new = self.build(f"--recalibrate={artifact}", f"--calibration={draw}", f"--alpha={light[1]}",
                                 out=f"{name}.new.sdna")
                pairs = meta(new)
                count, wrong, covered = misroutes(new, draw, root_label)
                self.assertEqual((pairs["risk.n"], pairs["risk.errors"]), (str(count), str(wrong)))
                self.assertEqual(pairs["risk.coverage"], f"{covered}/{count}")
                self.assertEqual(pairs["risk.holds"], "yes")


if __name__ == "__main__":
    main()
