"""What the end-to-end tests share: running tools, a small labelled set, scratch folders."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["SEMDNS_BIN"])
SOURCE = pathlib.Path(os.environ["SEMDNS_SOURCE_DIR"])
DATA = pathlib.Path(os.environ.get("SEMDNS_DATA", "/nonexistent"))

# Labelled queries of a made-up help desk: small, in our own words, easy to tell apart.
HELP_DESK = {
    "billing/refund": [
        "I want my money back", "refund my last order please", "how long does a refund take",
        "you charged me twice, give back the money", "can I get a refund without a receipt",
        "the refund has not arrived on my card", "return this item for a refund",
        "please reverse the charge from monday"],
    "billing/invoice": [
        "send me the invoice for march", "there is an error on my invoice", "I need a copy of the bill",
        "change the company name on the invoice", "where do I download invoices",
        "the bill shows the wrong tax number", "invoice address is outdated",
        "email the invoice to my accountant"],
    "tech/login": [
        "I forgot my password", "cannot log in to my account", "the login page says invalid user",
        "reset my password", "two factor code never arrives when I sign in",
        "my account is locked after too many attempts", "sign in fails on my phone",
        "how do I change my login email"],
    "tech/crash": [
        "the app crashes at start", "it freezes when I open a photo", "the program stops with an error",
        "crash after the latest update", "screen goes black and the app closes",
        "the desktop client hangs on exit", "app keeps crashing on android",
        "error code 500 and then it quits"],
    "shipping": [
        "where is my parcel", "track my shipment", "the package was delivered to the wrong address",
        "how much is express delivery", "my parcel is late", "change the delivery date",
        "do you ship to norway", "the courier left no notice"],
}


def run(tool, *arguments, check=None, stdin=None, env=None, cwd=None):
    """Runs a tool. `check` is the exit code it must have; the failure message shows its output."""
    result = subprocess.run([str(BIN / tool), *map(str, arguments)], capture_output=True, input=stdin,
                            env={**os.environ, **(env or {})}, cwd=cwd, timeout=900)
    if check is not None and result.returncode != check:
        raise AssertionError(
            f"{tool} {' '.join(map(str, arguments))}\nexit {result.returncode}, expected {check}\n"
            f"{result.stdout[-2000:].decode(errors='replace')}\n{result.stderr[-4000:].decode(errors='replace')}")
    return result


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        for text, label in rows:
            out.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")


def help_desk_rows():
    return [(text, label) for label, texts in HELP_DESK.items() for text in texts]


class ToolTest(unittest.TestCase):
    """A test case with a scratch folder of its own."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="semdns-e2e-")
        self.folder = pathlib.Path(self._folder.name)
        self.addCleanup(self._folder.cleanup)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return path

    def examples(self, name="desk.jsonl"):
        path = self.folder / name
        write_rows(path, help_desk_rows())
        return path

    def build(self, *arguments, out="out.sdna", check=0):
        path = self.folder / out
        result = run("build-hierarchy", *arguments, "-o", path, check=check)
        return path if check == 0 else result


def main():
    unittest.main(verbosity=2)
