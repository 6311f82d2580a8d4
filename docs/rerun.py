#!/usr/bin/env python3
"""Runs the commands in a page's ```console blocks and puts their output below them.

    docs/rerun.py README.md docs/tutorial.md

Commands begin with "$ ", their lines may end in a backslash; they run in a copy of docs/tutorial,
block after block of one page in the same copy, with build/release/bin in PATH. `cd` and `export` are
for the reader and are not run. Blocks that begin with "# not run" stay as they are.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
environment = dict(os.environ, PATH=f"{ROOT}/build/release/bin:{os.environ['PATH']}", NO_COLOR="1")

for page in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "docs/tutorial"
        shutil.copytree(ROOT / "docs/tutorial", folder)
        for name in ("build", "include"):
            (pathlib.Path(scratch) / name).symlink_to(ROOT / name)
        out, lines = [], iter(pathlib.Path(page).read_text().split("\n"))
        for line in lines:
            out.append(line)
            if line != "```console":
                continue
            block = []
            for line in lines:
                if line == "```":
                    break
                block.append(line)
            if block[0].startswith("# not run"):
                out += block + ["```"]
                continue
            commands, open_command = [], False
            for text in block:
                if open_command:
                    commands[-1] += "\n" + text
                elif text.startswith("$ "):
                    commands.append(text[2:])
                else:
                    continue
                open_command = text.endswith("\\")
            for command in commands:
                out += ("$ " + command).split("\n")
                if command.startswith(("cd ", "export ")):
                    continue
                done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                if done.stdout:
                    out += done.stdout.rstrip("\n").split("\n")
            out.append("```")
        pathlib.Path(page).write_text("\n".join(out))
