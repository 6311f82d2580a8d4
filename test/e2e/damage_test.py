"""Damaged, cut and foreign artifacts: every tool refuses them with exit 1 or 4, none crashes."""
import random

from support import ToolTest, main, run


class Damage(ToolTest):
    def setUp(self):
        super().setUp()
        self.rows = self.examples()
        self.bytes = self.build(f"--from-examples={self.rows}", "--targets=x86-64-v2").read_bytes()

    def tools(self, artifact):
        return (("inspect-artifact", artifact), ("resolve-query", f"@{artifact}", "x"),
                ("evaluate-hierarchy", artifact, f"--queries={self.rows}"),
                ("bench-artifact", artifact, f"--queries={self.rows}"))

    def refused(self, content, codes=(1, 4), tools=None):
        artifact = self.folder / "damaged.sdna"
        artifact.write_bytes(content)
        for command in tools or self.tools(artifact):
            result = run(*command)
            self.assertIn(result.returncode, codes, f"{command}: {result.stderr.decode(errors='replace')}")
            self.assertTrue(result.stderr.strip())

    def test_any_flipped_bit_is_refused(self):
        # The unit tests flip every bit of header and table through the reader; here a sample goes through
        # the tools themselves.
        rng = random.Random(1)
        artifact = self.folder / "damaged.sdna"
        places = [rng.randrange(len(self.bytes)) for _ in range(40)] + [8, 16, 24, 40, 130, len(self.bytes) - 1]
        for place in places:
            damaged = bytearray(self.bytes)
            damaged[place] ^= 1 << rng.randrange(8)
            self.refused(bytes(damaged), tools=self.tools(artifact)[place % 4:place % 4 + 1])

    def test_truncation(self):
        artifact = self.folder / "damaged.sdna"
        for size in (0, 1, 64, 127, 128, 200, 4096, len(self.bytes) // 2, len(self.bytes) - 64, len(self.bytes) - 1):
            self.refused(self.bytes[:size], tools=self.tools(artifact)[:2])
        self.refused(self.bytes + b"\0" * 64, tools=self.tools(artifact)[:2])

    def test_another_version_kind_or_feature_is_incompatible(self):
        def patched(offset, value):
            damaged = bytearray(self.bytes)
            damaged[offset:offset + len(value)] = value
            return bytes(damaged)
        self.refused(patched(8, b"\x02\x00"), codes=(4,))   # format major 2
        self.refused(patched(24, b"\x01"), codes=(1, 4))    # a required feature from the future
        text = self.write("notes.txt", "a heron stands in the shallow water\n\n" * 40)
        run("mine-patterns", "--domain=birds", f"--input={text}", "-o", self.folder / "birds.plib", check=0)
        for command in self.tools(self.folder / "birds.plib")[1:]:
            self.assertEqual(run(*command).returncode, 4, command)
        run("inspect-artifact", self.folder / "birds.plib", check=0)


if __name__ == "__main__":
    main()
