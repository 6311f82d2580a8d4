#!/usr/bin/env python3
"""Makes an installed prefix self-contained: PREFIX/bin runs where no package of ours is installed.

    bundle.py PREFIX [FOLDER...]

copies every shared library that the tools in PREFIX/bin need, beyond the C and C++ runtimes that any
Debian 12 has, into PREFIX/lib/semdns/lib, the tools' run path (semdns_tool), with the licence of the
package each comes from in PREFIX/share/doc/semdns/licences. Fails if a tool would still load one of
them from elsewhere. FOLDERs: where else to look for libraries than where the loader does by itself.

Why lib/semdns/lib: Debian's libLLVM looks for its own libraries in `$ORIGIN/../lib` only.
"""
import os
import re
import shutil
import subprocess
import sys

# Part of the smallest Debian 12 (apt itself needs them); tied to the kernel, to each other, or both.
SYSTEM = re.compile(r"^(ld-linux.*|linux-vdso|lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s))\.so")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def needed(executable, folders=()):
    """soname -> the file that the loader takes, for all that `executable` needs, also indirectly."""
    found = {}
    environment = dict(os.environ, LD_LIBRARY_PATH=":".join(folders))
    for line in run("ldd", executable, env=environment).splitlines():
        words = line.split()
        if "not found" in line:
            sys.exit(f"bundle.py: {executable} needs {words[0]}, which is not on this machine")
        if len(words) >= 3 and words[1] == "=>" and not SYSTEM.match(words[0]):
            found[words[0]] = words[2]
    return found


def copy_licence(library, folder):
    # /usr/lib is also /lib: the package may list either.
    real = os.path.realpath(library)
    for path in {library, real, real.removeprefix("/usr"), library.removeprefix("/usr")}:
        owner = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True)
        if owner.returncode == 0:
            package = owner.stdout.split(":")[0]
            copyright = f"/usr/share/doc/{package}/copyright"
            if os.path.exists(copyright):
                os.makedirs(folder, exist_ok=True)
                shutil.copyfile(copyright, f"{folder}/{package}.txt")
                return
    print(f"bundle.py: no licence found for {library}", file=sys.stderr)


def main():
    if len(sys.argv) < 2 or not os.path.isdir(os.path.join(sys.argv[1], "bin")):
        sys.exit("usage: bundle.py PREFIX [FOLDER...]   (PREFIX: a folder with bin/ in it)")
    prefix = os.path.abspath(sys.argv[1])
    libraries = os.path.join(prefix, "lib", "semdns", "lib")
    os.makedirs(libraries, exist_ok=True)
    tools = [os.path.join(prefix, "bin", name) for name in sorted(os.listdir(os.path.join(prefix, "bin")))]

    wanted = {}
    for tool in tools:
        wanted.update(needed(tool, sys.argv[2:]))
    for soname, path in sorted(wanted.items()):
        if os.path.dirname(os.path.realpath(path)) == os.path.realpath(libraries):
            continue  # an earlier run put it there
        shutil.copyfile(os.path.realpath(path), os.path.join(libraries, soname))
        copy_licence(path, os.path.join(prefix, "share", "doc", "semdns", "licences"))

    for tool in tools:
        for soname, path in needed(tool).items():
            if os.path.dirname(os.path.realpath(path)) != os.path.realpath(libraries):
                sys.exit(f"bundle.py: {tool} takes {soname} from {path}: its run path is not $ORIGIN/../lib/semdns/lib")
    size = sum(os.path.getsize(os.path.join(libraries, name)) for name in os.listdir(libraries))
    print(f"{len(tools)} tools, {len(os.listdir(libraries))} libraries beside them, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
