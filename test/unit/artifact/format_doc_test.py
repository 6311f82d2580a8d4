"""docs/format.md against reality: its hexdump is the committed file, its verifier accepts good files
and refuses every flipped bit of a small one."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs/format.md").read_text()
CORPUS = ROOT / "test/fuzz/corpus/artifact"


def verifier():
    scope = {"__name__": "format_md"}
    exec(re.search(r"```python\n(.*?)```", DOCUMENT, re.S).group(1), scope)
    return scope["verify"]


class FormatDocument(unittest.TestCase):
    def test_hexdump(self):
        dump = bytearray()
        for address, digits in re.findall(r"^    ([0-9a-f]{8}): ((?:[0-9a-f]{4} ){8})", DOCUMENT, re.M):
            self.assertEqual(int(address, 16), len(dump))
            dump += bytes.fromhex(digits)
        self.assertEqual(bytes(dump), (CORPUS / "patterns").read_bytes())

    def test_verifier(self):
        verify = verifier()
        for name in ("patterns", "hierarchy"):
            self.assertIn(("META", 0), verify((CORPUS / name).read_bytes()))
        small = bytearray((CORPUS / "patterns").read_bytes())
        for bit in range(8 * len(small)):
            small[bit // 8] ^= 1 << bit % 8
            with self.assertRaises(ValueError, msg=f"bit {bit}"):
                verify(bytes(small))
            small[bit // 8] ^= 1 << bit % 8
        for size in range(len(small)):
            with self.assertRaises(ValueError):
                verify(bytes(small[:size]))


if __name__ == "__main__":
    unittest.main()
