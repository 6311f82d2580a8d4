"""What libsemdns promises about itself: needs libc and libzstd only, imports no C++ runtime, runs
nothing at load time, exports semdns_* only, and is small when stripped.

    check_library.py LIBSEMDNS.so LIBSEMDNS.a ALLOWED_SYMBOLS
"""
import os
import re
import subprocess
import sys
import tempfile

SIZE_LIMIT = 600_000  # what GCC unrolls; clang's is a fifth smaller
NEEDED = {"libc.so.6", "libzstd.so.1"}
LDD_ALLOWED = re.compile(r"linux-vdso|libc\.so|libzstd\.so|ld-linux|ld64")

shared, archive, allow_list = sys.argv[1:4]
failures = []


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fail(message):
    failures.append(message)


needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", shared)))
if not needed <= NEEDED:
    fail(f"needs {sorted(needed - NEEDED)}; only {sorted(NEEDED)} are allowed")
if "[libsemdns.so.0]" not in output("readelf", "-d", shared):
    fail("the soname is not libsemdns.so.0")
for line in output("ldd", shared).splitlines():
    if not LDD_ALLOWED.search(line):
        fail(f"ldd: {line.strip()}")

with open(allow_list) as file:
    allowed = {line.strip() for line in file if line.strip() and not line.startswith("#")}
for line in output("nm", "-D", "--undefined-only", shared).splitlines():
    symbol = line.split()[-1].split("@")[0]
    if symbol not in allowed:
        fail(f"imports {symbol}, which {os.path.basename(allow_list)} does not list")

for line in output("nm", "-D", "--defined-only", shared).splitlines():
    symbol = line.split()[-1].split("@")[0]
    if not symbol.startswith("semdns_") and symbol != "SEMDNS_0":
        fail(f"exports {symbol}")

sections = output("readelf", "-SW", archive)
for name in (".init_array", ".ctors", ".preinit_array", ".tdata", ".tbss"):
    if re.search(rf"\s{re.escape(name)}[\s.]", sections):
        fail(f"an object in the archive has a {name} section: a static initialiser or thread-local")
if "gcc_except_table" in sections:
    fail("an object in the archive has exception tables")
for line in output("nm", "-C", archive).splitlines():
    if re.search(r"\b(typeinfo|vtable) for\b|operator (new|delete)|__cxa_(throw|guard)|__gxx_", line):
        fail(f"the archive has {line.strip()}")

with tempfile.TemporaryDirectory() as folder:
    stripped = os.path.join(folder, "stripped.so")
    subprocess.run(["strip", "-o", stripped, shared], check=True)
    size = os.path.getsize(stripped)
if size >= SIZE_LIMIT:
    fail(f"{size} bytes stripped; the limit is {SIZE_LIMIT}")

for failure in failures:
    print(f"{shared}: {failure}")
print(f"{shared}: {size} bytes stripped, needs {', '.join(sorted(needed))}")
sys.exit(1 if failures else 0)
