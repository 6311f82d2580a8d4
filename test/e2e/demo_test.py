"""The demo script runs to its end on the fetched corpora, and a second run rebuilds nothing."""
import os
import subprocess
import unittest

from support import SOURCE, main


@unittest.skipUnless((SOURCE / "build/corpora").is_dir(), "SKIPPED: no build/corpora (./dev corpora fetches them)")
class Demo(unittest.TestCase):
    def run_demo(self):
        result = subprocess.run(["bash", SOURCE / "test/e2e/demo.sh"], capture_output=True, text=True, timeout=900)
        self.assertEqual(result.returncode, 0, result.stderr[-3000:])
        return result

    def test_runs_and_is_idempotent(self):
        self.run_demo()
        artifact = SOURCE / "build/demo/demo.sdna"
        before = os.stat(artifact).st_mtime_ns
        again = self.run_demo()
        self.assertEqual(os.stat(artifact).st_mtime_ns, before)
        self.assertIn("up to date", again.stderr)
        self.assertIn("What next", again.stderr)


if __name__ == "__main__":
    main()
