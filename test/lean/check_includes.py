"""Who may include whom (docs/architecture.md, "Folders").

    check_includes.py SOURCE_DIR
"""
import os
import re
import sys

source = sys.argv[1]
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)
FLOOR = ("runtime/base/", "runtime/artifact/")
CXX_LIBRARY_WITH_CODE = re.compile(
    r"^(iostream|ostream|istream|fstream|sstream|string|vector|map|set|unordered_\w+|memory|functional|"
    r"mutex|thread|future|regex|locale|filesystem|stdexcept|exception|typeinfo)$")
# include/semdns/semdns.h has limits that all may know; its functions are the runtime's.
RUNS_CASCADE = re.compile(r"\bsemdns_(resolve|measure|explain|artifact_open|resolver_create|scratch_create)\w*\s*\(|semdns\.hpp")
MAY_RUN_CASCADE = ("lib/eval/", "lib/driver/", "lib/calibrate/", "lib/sim/")
failures = []
files = 0

for top in ("include", "kernels", "runtime", "lib", "dialects"):
    for folder, _, names in os.walk(os.path.join(source, top)):
        for name in names:
            if not name.endswith((".h", ".hpp", ".c", ".cpp", ".inc", ".td")):
                continue
            path = os.path.relpath(os.path.join(folder, name), source)
            with open(os.path.join(source, path), encoding="utf-8") as file:
                text = file.read()
            includes = INCLUDE.findall(text)
            files += 1
            if top in ("lib", "dialects") and RUNS_CASCADE.search(text) and not path.startswith(MAY_RUN_CASCADE):
                failures.append(f"{path}: only lib/{{eval,driver,calibrate,sim}} may run the cascade")
            for include in includes:
                reason = None
                if top in ("include", "kernels") and include.startswith(("runtime/", "lib/", "dialects/", "tools/")):
                    reason = f"{top}/ is the floor"
                elif top == "runtime" and include.startswith(("lib/", "dialects/", "tools/", "mlir/", "llvm/", "unicode/", "google/")):
                    reason = "the runtime stands on include/, kernels/ and itself"
                elif top == "runtime" and CXX_LIBRARY_WITH_CODE.match(include):
                    reason = "the runtime must not need the C++ library"
                elif path.startswith(FLOOR) and include.startswith("runtime/") and not include.startswith(FLOOR):
                    reason = "the floor must not include what stands on it"
                elif path.startswith("runtime/base/") and include.startswith("runtime/artifact/"):
                    reason = "base stands below artifact"
                elif top == "dialects" and include.startswith(("lib/", "runtime/", "tools/")):
                    reason = "dialects know neither lib/ nor runtime/"
                elif top == "lib" and include.startswith("runtime/") and not include.startswith(FLOOR) and not (
                        path.startswith("lib/codec/") and include.startswith("runtime/codec/")):
                    reason = "lib/ may use runtime/base and runtime/artifact only (lib/codec: runtime/codec too)"
                elif top == "lib" and include.startswith("tools/"):
                    reason = "lib/ stands below tools/"
                if reason:
                    failures.append(f'{path}: includes "{include}": {reason}')

print("\n".join(failures) or f"{files} files include only what they may")
sys.exit(1 if failures else 0)
