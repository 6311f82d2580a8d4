"""What the benchmarks of `./dev bench` share: where things are, running tools, PyPI's peers, and the
sections of docs/benchmarks.md, each of which its own script writes between two marks."""
import json
import os
import pathlib
import platform
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SEMDNS_BIN", ROOT / "build/release/bin"))
DATA = pathlib.Path(os.environ.get("SEMDNS_DATA", ROOT.parent / "shared/data"))
OUT = ROOT / "build/bench"
PAGE = ROOT / "docs/benchmarks.md"


def say(*words):
    print("bench:", *words, file=sys.stderr, flush=True)


def run(command, may_fail=False, **options):
    """Standard output of a command; None where it may fail and did (with a message), else the end."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode:
        message = f"exit {done.returncode} from {' '.join(str(c) for c in command)}\n{done.stderr[-4000:]}"
        if not may_fail:
            sys.exit(f"bench: {message}")
        say(message)
        return None
    return done.stdout


def run_json(command, **options):
    said = run(command, **options)
    return None if said is None else json.loads(said)


def cpu():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def python_with(packages, modules, folder="venv"):
    """Interpreter of a venv under build/bench with PyPI's `packages`, of which `modules` can be
    imported; None, with a message, where they cannot be had (no network)."""
    folder = OUT / folder
    python = folder / "bin/python"
    if not python.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"peers from PyPI skipped: no venv ({error})")
            return None
    if subprocess.run([python, "-c", "import " + ", ".join(modules)], capture_output=True).returncode:
        say("fetching", ", ".join(packages))
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=1",
                               "--timeout=20", *packages], capture_output=True, text=True)
        if done.returncode:
            say("peers from PyPI skipped: no network?", done.stderr.strip().splitlines()[-1:])
            return None
    return python


def marks(name):
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put_section(name, text):
    """Writes (or replaces in its place) a section of docs/benchmarks.md; the others stay."""
    begin, end = marks(name)
    section = f"{begin}\n{text.strip()}\n{end}\n"
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n"
    if begin in page and end in page:
        before, rest = page.split(begin, 1)
        page = before + section + rest.split(end, 1)[1].lstrip("\n")
    else:
        page = page.rstrip("\n") + "\n\n" + section
    PAGE.write_text(page)
