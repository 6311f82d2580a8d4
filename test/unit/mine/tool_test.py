#!/usr/bin/env python3
"""mine-patterns as a user meets it: exit codes, located errors, outputs left whole.

    tool_test.py MINE_PATTERNS
"""
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOOL = sys.argv.pop(1)


class MinePatterns(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.good = self.write("good.txt", b"\n\n".join(
            b"a writ of habeas corpus number %d was sent to the court" % i for i in range(2000)))

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def mine(self, *arguments, expect=0, **kwargs):
        done = subprocess.run([TOOL, *arguments], capture_output=True, timeout=120, **kwargs)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def test_summary_and_json(self):
        out = self.path("d.plib")
        text = self.mine("--domain=d", f"--input={self.good}", "-o", out).stdout.decode()
        self.assertIn("2000 documents", text)
        self.assertIn("habeas corpus", text)
        row = json.loads(self.mine("--domain=d", f"--input={self.good}", "-o", out, "-f",
                                   "--json").stdout)
        self.assertEqual(row["documents"], 2000)
        self.assertGreater(row["ngrams"]["coverage"], 0.5)
        self.assertEqual(row["bytes"], os.path.getsize(out))
        self.assertGreater(row["dictionary_bytes"], 1000)

    def test_existing_output_is_kept(self):
        out = self.write("d.plib", b"mine")
        done = self.mine("--domain=d", f"--input={self.good}", "-o", out, expect=1)
        self.assertIn(b"-f", done.stderr)
        with open(out, "rb") as f:
            self.assertEqual(f.read(), b"mine")

    def test_stdin_and_stdout(self):
        with open(self.good, "rb") as f:
            piped = self.mine("--domain=d", "--input=-", "-o", "-", stdin=f).stdout
        self.mine("--domain=d", f"--input={self.good}", "-o", self.path("d.plib"))
        with open(self.path("d.plib"), "rb") as f:
            self.assertEqual(f.read(), piped)

    def test_usage(self):
        self.mine(expect=2)
        self.mine("--domain=d", f"--input={self.good}", expect=2)
        self.mine("--domain=", f"--input={self.good}", "-o", "x", expect=2)
        self.mine("--domain=d", f"--input={self.good}", "-o", "x", "--dict-size=5", expect=2)
        self.mine("--domain=d", f"--input={self.good}", "-o", "x", "--min-support=0", expect=2)
        self.mine("--help")

    def test_rejected_inputs_leave_nothing(self):
        cases = {
            "empty": (b"", "there is no text"),
            "binary": (b"abc\n\0\1\2", "2:1: error: binary data"),
            "latin1": (b"fine\n\ncaf\xe9 au lait\n", "3:4: error: invalid UTF-8"),
            "rows.jsonl": (b'{"text":"a"}\n{"txt":"b"}\n', '2:1: error: row has no string "text"'),
            "long": (b"x" * (100 << 20), "line is longer than 16 MiB"),
            "cut.zst": (b"\x28\xb5\x2f\xfd\x04\x00", "truncated"),
        }
        for name, (data, message) in cases.items():
            with self.subTest(name):
                path = self.write(name, data)
                out = self.path("out.plib")
                done = self.mine("--domain=d", f"--input={path}", "-o", out, expect=1)
                self.assertIn(f"{path}", done.stderr.decode())
                self.assertIn(message, done.stderr.decode())
                self.assertEqual([n for n in os.listdir(self.folder.name) if "out" in n], [])
                os.remove(path)
        done = self.mine("--domain=d", f"--input={self.path('none')}", "-o", self.path("o"),
                         "--diagnostics=json", expect=1)
        self.assertEqual(json.loads(done.stderr)["severity"], "error")

    def test_json_of_kinds(self):
        out = self.path("d.plib")
        row = json.loads(self.mine("--domain=d", f"--input={self.good}", "-o", out, "--json").stdout)
        for kind in ("ngrams", "keywords", "phrases", "templates", "skeletons", "clusters"):
            for field in ("patterns", "bytes", "coverage", "examples", "dropped"):
                self.assertIn(field, row[kind])
        self.assertGreater(row["templates"]["patterns"], 0)

    def test_shards_by_either_count(self):
        whole, parts = self.path("whole.plib"), []
        self.mine("--domain=d", f"--input={self.good}", "-o", whole, "-j1")
        for shard in ("1/2", "2/2"):
            parts.append(self.path(f"p{len(parts)}.plib"))
            text = self.mine("--domain=d", f"--input={self.good}", f"--shard={shard}", "-o", parts[-1]).stdout
            self.assertIn(b"partial", text)
        merged = self.path("merged.plib")
        self.mine("--merge", *parts, "-o", merged)
        with open(whole, "rb") as a, open(merged, "rb") as b:
            self.assertTrue(a.read() == b.read())
        self.mine("--domain=d", f"--input={self.good}", "--shard=3/2", "-o", "x", expect=2)
        self.mine("--merge", parts[0], parts[0], "-o", self.path("x"), expect=1)
        with open(parts[0], "rb") as f:
            broken = self.write("broken.plib", f.read()[:-100])
        self.mine("--merge", broken, parts[1], "-o", self.path("x"), expect=1)
        self.assertFalse(os.path.exists(self.path("x")))

    def test_killed_and_resumed(self):
        # So large that a checkpoint lies on the way.
        rng = random.Random(1)
        words = ["w%d" % rng.randrange(10**6) for _ in range(20000)]
        big = self.path("big.txt")
        with open(big, "w") as f:
            for i in range(12000):
                f.write(" ".join(rng.choices(words, k=160)) + f" {i}\n\n")
        command = ["--domain=d", f"--input={big}", "-o", self.path("d.plib"), "--dict-size=0",
                   f"--work={self.path('work')}", "-j2"]
        running = subprocess.Popen([TOOL, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checkpoint = self.path("work/corpus.checkpoint")
        while running.poll() is None and not os.path.exists(checkpoint):
            time.sleep(0.01)
        running.kill()
        running.wait()
        self.assertFalse(os.path.exists(self.path("d.plib")))
        self.assertTrue(os.path.exists(checkpoint))
        done = self.mine(*command)
        self.assertIn(b"went on from the checkpoint", done.stderr)
        self.assertFalse(os.path.exists(self.path("work")))
        self.mine("--domain=d", f"--input={big}", "-o", self.path("e.plib"), "--dict-size=0", "-j1")
        with open(self.path("d.plib"), "rb") as a, open(self.path("e.plib"), "rb") as b:
            self.assertTrue(a.read() == b.read())

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("SKIPPED: no /dev/full")
        done = self.mine("--domain=d", f"--input={self.good}", "-o", "/dev/full", expect=1)
        self.assertIn(b"No space left", done.stderr)

        def limit():  # the size of files: a full disk for the working files
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        done = self.mine("--domain=d", f"--input={self.good}", "-o", self.path("d.plib"), expect=1,
                         preexec_fn=limit)
        self.assertIn(b"error: ", done.stderr)
        self.assertEqual([n for n in os.listdir(self.folder.name) if "plib" in n], [])

    def test_folder_loop(self):
        os.mkdir(self.path("d"))
        os.rename(self.good, self.path("d/good.txt"))
        os.symlink(self.path("d"), self.path("d/loop"))
        done = self.mine("--domain=d", f"--input={self.path('d')}", "-o", self.path("d.plib"))
        self.assertIn(b"loop", done.stderr)
        self.assertIn(b"2000 documents", done.stdout)


if __name__ == "__main__":
    unittest.main()
