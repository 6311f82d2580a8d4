"""resolve-query --device: the same answers as one by one, in order, from plain and compressed input;
stopped and resumed; refused where it must be. Without a GPU the CPU answers."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
BIN = os.environ["SEMDNS_BIN"]
RESOLVE = os.path.join(BIN, "resolve-query")

SPEC = """
name: "desk" serial: 3
zone { name: "mail." keyword: "mail" keyword: "inbox" keyword: "post box" }
zone { name: "print." keyword: "printer" keyword: "toner"
  zone { name: "paper.print." keyword: "paper jam" } }
"""
TEXTS = ["my inbox is full", "toner, please", "a paper jam again", "", "nothing of that kind",
         "the printer and the mail", "caf\u00e9 \u4f60\u597d printer", "x" * 9000 + " toner", "\u0000mail"]


def run(*arguments, code=0):
    done = subprocess.run([RESOLVE, *arguments], capture_output=True)
    assert done.returncode == code, (arguments, done.returncode, done.stderr.decode())
    return done


with tempfile.TemporaryDirectory() as folder:
    def at(name):
        return os.path.join(folder, name)

    with open(at("spec.txtpb"), "w") as out:
        out.write(SPEC)
    subprocess.run([os.path.join(BIN, "build-hierarchy"), at("spec.txtpb"), "-o", at("a.sdna"), "-q"],
                   check=True)
    rows = [TEXTS[i % len(TEXTS)] + (f" {i}" if i % 3 else "") for i in range(20000)]
    with open(at("in.jsonl"), "w") as out:
        for i, text in enumerate(rows):
            out.write(json.dumps({"text": text, "other": i}) + "\n" + ("\n" if i % 100 == 7 else ""))
    artifact = "@" + at("a.sdna")

    single = [json.loads(line) for line in
              run(artifact, "--json", "-i", at("in.jsonl")).stdout.splitlines()]
    for device in ("auto", "cpu", "cuda:0"):
        done = run(artifact, "-i", at("in.jsonl"), "--device=" + device)
        bulk = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(bulk) == len(single) == len(rows)
        for a, b in zip(bulk, single):
            for key in ("zone", "path", "best_path", "stage", "confidence", "margin", "status", "reason"):
                assert a[key] == b[key], (device, key, a, b)
        assert device != "cuda:0" or b"the CPU answers" in done.stderr or not done.stderr
        whole = done.stdout

    assert run(artifact, "-i", at("in.jsonl"), "--device=cpu", "-j", "1").stdout == whole
    run(artifact, "-i", at("in.jsonl"), "--device=cpu", "-o", at("out"))
    with open(at("out"), "rb") as file:
        assert file.read() == whole
    assert not os.path.exists(at("out.state"))
    run(artifact, "-i", at("in.jsonl"), "--device=cpu", "-o", at("out"), code=1)  # exists
    run(artifact, "-i", at("in.jsonl"), "--device=cpu", "-o", at("out"), "-f")

    # Stopped in the middle of a line: what is there stays, the rest follows.
    state = {"artifact": json.loads(run(artifact, "--json", "x").stdout)["digest"], "stages": 0,
             "input": at("in.jsonl")}
    for size in (0, 1, len(whole) // 2, len(whole)):
        with open(at("part"), "wb") as out:
            out.write(whole[:size])
        with open(at("part.state"), "w") as out:
            out.write(json.dumps(state, separators=(",", ":")) + "\n")
        run(artifact, "-i", at("in.jsonl"), "--device=cpu", "-o", at("part"), "--resume")
        with open(at("part"), "rb") as file:
            assert file.read() == whole, size
    with open(at("part.state"), "w") as out:
        out.write(json.dumps(dict(state, artifact="0" * 64), separators=(",", ":")) + "\n")
    done = run(artifact, "-i", at("in.jsonl"), "--device=cpu", "-o", at("part"), "--resume", code=1)
    assert b"another artifact" in done.stderr

    try:
        subprocess.run(["zstd", "-q", at("in.jsonl"), "-o", at("in.zst")], check=True)
    except FileNotFoundError:
        print("no zstd program: compressed input is not tested")
    else:
        assert run(artifact, "-i", at("in.zst"), "--device=cpu").stdout == whole
        with open(at("in.zst"), "rb") as file:
            cut = file.read()[:-20]
        with open(at("cut.zst"), "wb") as out:
            out.write(cut)
        run(artifact, "-i", at("cut.zst"), "--device=cpu", code=1)

    with open(at("bad.jsonl"), "w") as out:
        out.write('{"text": "a"}\n\n{"label": "b"}\n')
    done = run(artifact, "-i", at("bad.jsonl"), "--device=cpu", code=1)
    assert b"bad.jsonl:3" in done.stderr, done.stderr
    run(artifact, "--device=cpu", "text", code=2)
    run(artifact, "-i", at("in.jsonl"), "--device=gpu", code=2)
    run(artifact, "-i", at("in.jsonl"), "--resume", code=2)
print("bulk answers are the single ones")
