"""What depends on time is told the time: the cache and the dispatcher ask no clock, so that a wall clock
that jumps changes no TTL, lease or hold-down.

    check_clock.py ARCHIVE...
"""
import re
import subprocess
import sys

CLOCK = re.compile(r"\b(clock_gettime|clock|gettimeofday|time|times|timespec_get|ftime|nanosleep|clock_nanosleep|localtime\w*|gmtime\w*)\b")
failures = []
for archive in sys.argv[1:]:
    names = subprocess.run(["nm", "-u", archive], capture_output=True, text=True, check=True).stdout
    wanted = {line.split()[-1].split("@")[0] for line in names.splitlines() if line.strip().startswith("U ")}
    failures += [f"{archive}: asks {name}" for name in sorted(wanted) if CLOCK.fullmatch(name)]
print("\n".join(failures) or f"{len(sys.argv) - 1} archives ask no clock")
sys.exit(1 if failures else 0)
