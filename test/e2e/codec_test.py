"""Corpora to tables to frames and back: compress-context, its modes, ranges, streams and refusals. The
corpora are this repository's own documentation and sources."""
import json
import os
import pathlib
import tempfile
import unittest

from support import SOURCE, main, run

MODES = ["zstd", "turbo", "fast", "max"]
QUICK = MODES[:2]


def texts(folder, suffix):
    return [p.read_text(encoding="utf-8") for p in sorted((SOURCE / folder).rglob("*" + suffix))]


class Codec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.holder.name)
        # The last documents are held out: what is compressed below is in no library.
        prose, code = texts("docs", ".md"), texts("runtime", ".cpp") + texts("lib", ".cpp")
        cls.held_prose, cls.held_code = prose[-1], code[-1]
        for name, documents in (("docs", prose[:-1]), ("code", code[:-1])):
            (cls.folder / f"{name}.jsonl").write_text(
                "".join(json.dumps({"text": t}) + "\n" for t in documents), encoding="utf-8")
        for name, other in (("docs", "code"), ("code", "docs")):
            run("mine-patterns", f"--domain={name}", f"--input={cls.folder / name}.jsonl",
                f"--background={cls.folder / other}.jsonl", f"--codec={','.join(MODES)}",
                "--k-anonymity=1",  # all of it is one owner's
                "-o", cls.folder / f"{name}.plib", check=0)
        cls.build("two.sdna", ["docs", "code"])
        cls.big = "\n".join(prose + code).encode()[:300_000]
        (cls.folder / "big").write_bytes(cls.big)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    @classmethod
    def build(cls, name, zones, *options):
        spec = cls.folder / "h.txtpb"
        spec.write_text('name: "codec"\n' + "".join(
            f'zone {{ name: "{z}." patterns: "{z}.plib" }}\n' for z in zones), encoding="utf-8")
        run("build-hierarchy", spec, "--targets=x86-64-v2", "-f", "-o", cls.folder / name, *options, check=0)

    def compress(self, data, *options, artifact="two.sdna"):
        return run("compress-context", f"@{self.folder / artifact}", *options, "-", "-o", "-", "--json", "--map",
                   stdin=data, check=0)

    def expand(self, frame, *options, artifact="two.sdna", check=0):
        return run("compress-context", f"@{self.folder / artifact}", "-d", "--map", *options, "-", "-o", "-",
                   stdin=frame, check=check)

    def test_every_mode_gives_the_bytes_back(self):
        text = self.held_prose.encode()[:4096]
        samples = [b"", b"a", text, text * 3, bytes(range(256)) * 9, os.urandom(3000), b"\xff\xfe" * 50,
                   "\u00e4\U0001f600 \u2028".encode() * 40, self.big[:65536], self.big[:65537]]
        for mode in ["raw", "auto", *MODES]:
            for data in samples[:None if mode in QUICK else 4]:
                frame = self.compress(data, "--zone=docs.", f"--mode={mode}").stdout
                self.assertLessEqual(len(frame), len(data) + 1, mode)
                self.assertEqual(self.expand(frame).stdout, data, mode)

    def test_a_library_pays(self):
        text = self.held_prose.encode()[:4096]
        for mode in MODES:
            summary = json.loads(self.compress(text, "--zone=docs.", f"--mode={mode}").stderr)
            self.assertEqual((summary["mode"], summary["zone"]), (mode, "docs."))
            self.assertGreater(summary["ratio"], 1.8)

    def test_auto_zone_is_where_the_text_is_routed(self):
        for text, zone in ((self.held_prose, "docs."), (self.held_code, "code.")):
            result = self.compress(text.encode()[:4096], "--zone=auto")
            self.assertEqual(json.loads(result.stderr)["zone"], zone)
            self.assertEqual(self.expand(result.stdout).stdout, text.encode()[:4096])

    def test_ranges_of_a_long_text(self):
        for mode in QUICK:
            frame = self.compress(self.big, "--zone=docs.", f"--mode={mode}").stdout
            self.assertEqual(self.expand(frame).stdout, self.big)
            for a, b in ((0, 1), (65535, 65537), (70000, 200000), (299_999, 300_000), (5, 5), (300_000, 400_000)):
                self.assertEqual(self.expand(frame, f"--range={a}:{b}").stdout, self.big[a:b], (mode, a, b))
            self.assertEqual(self.expand(frame, "--range=:10").stdout, self.big[:10])
            self.assertEqual(self.expand(frame, "--range=299990:").stdout, self.big[299990:])

    def test_info_needs_no_artifact(self):
        path = self.folder / "frame"
        path.write_bytes(self.compress(self.big, "--zone=docs.", "--mode=zstd").stdout)
        info = json.loads(run("compress-context", "--info", path, check=0).stdout)
        self.assertEqual((info["mode"], info["blocks"], info["length"]), ("zstd", 5, 300_000))
        short = self.compress(b"the zone of the artifact and the zone of the artifact", "--zone=docs.", "--mode=zstd")
        path.write_bytes(short.stdout)
        info = json.loads(run("compress-context", "--info", path, check=0).stdout)
        self.assertLessEqual(info["header_bytes"], 10)

    def test_damage_and_bombs_are_refused(self):
        for mode in QUICK:
            frame = self.compress(self.big, "--zone=docs.", f"--mode={mode}").stdout
            for bad in (frame[:-1], frame + b"x", b"\x7f" + frame[1:], b"", frame[:3]):
                result = self.expand(bad, check=1)
                self.assertRegex(result.stderr.decode(), "compress-context: error: -: ")
            self.expand(frame, "--max-size=299999", check=1)
            self.expand(frame, "--max-size=300000", check=0)

    def test_frames_outlive_a_rebuild(self):
        text = self.held_prose.encode()[:4096]
        frames = {mode: self.compress(text, "--zone=docs.", f"--mode={mode}").stdout for mode in MODES}
        # Another hierarchy with the same tables under another number reads them.
        self.build("swapped.sdna", ["code", "docs"])
        self.build("other.sdna", ["code"])
        self.build("kept.sdna", ["code"], f"--keep-codecs={self.folder / 'two.sdna'}")
        for mode, frame in frames.items():
            self.assertEqual(self.expand(frame, artifact="swapped.sdna").stdout, text)
            self.assertEqual(self.expand(frame, artifact="kept.sdna").stdout, text)
            refused = self.expand(frame, artifact="other.sdna", check=4).stderr.decode()
            self.assertIn(f"of mode {mode}", refused)
            self.assertIn("--keep-codecs", refused)
        listing = run("inspect-artifact", self.folder / "kept.sdna", check=0).stdout.decode()
        self.assertIn("earlier", listing)

    def test_refusals(self):
        two = f"@{self.folder / 'two.sdna'}"
        for arguments, code in (
                ([two, "--zone=nowhere.", "-", "-o", "-"], 2),
                ([two, "-", "-o", "-"], 2),
                ([two, "--zone=docs.", "--mode=zip", "-", "-o", "-"], 2),
                ([two, "--zone=.", "--mode=zstd", "-", "-o", "-"], 4),
                ([two, "--zone=docs.", "/nonexistent", "-o", "-"], 1),
                ([two, "--zone=docs.", "-", "-o", self.folder / "two.sdna"], 1),
                ([two, "-d", "--range=9:3", "-", "-o", "-"], 2)):
            self.assertNotEqual(run("compress-context", *arguments, stdin=b"text", check=code).stderr, b"")


if __name__ == "__main__":
    main()
