"""The installed package as strangers use it: C and C++ programs by find_package(semdns) and by
pkg-config, and Python by ctypes. All must say what the others say.

    consume.py BUILD_DIR SOURCE_DIR MAKE_TEST_ARTIFACT CC CXX
"""
import ctypes
import os
import shutil
import subprocess
import sys

build, source, make_artifact, cc, cxx = sys.argv[1:6]
work = os.path.join(build, "test", "consume-work")  # test/consume is CMake's
prefix = os.path.join(build, "prefix")
artifact = os.path.join(work, "small.sdna")
text = "where is my parcel"


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"FAILED: {' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def find(name):
    for folder, _, names in os.walk(prefix):
        if name in names:
            return os.path.join(folder, name)
    sys.exit(f"FAILED: {name} is not in {prefix}")


shutil.rmtree(work, ignore_errors=True)
shutil.rmtree(prefix, ignore_errors=True)
os.makedirs(work)
run("cmake", "--install", build, "--prefix", prefix, "--component", "runtime")
run(make_artifact, artifact)
libdir = os.path.dirname(find("libsemdns.so.0"))
answers = {}

# find_package
project = os.path.join(work, "build")
run("cmake", "-G", "Ninja", "-S", os.path.join(source, "project"), "-B", project, f"-DCMAKE_PREFIX_PATH={prefix}",
    f"-DCMAKE_C_COMPILER={cc}", f"-DCMAKE_CXX_COMPILER={cxx}",
    "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror")
run("cmake", "--build", project)
for app in ("c_app", "cpp_app", "c_app_static", "cpp_app_plain"):
    answers[app] = run(os.path.join(project, app), artifact, text)

# pkg-config, with whatever compiler the system calls cc
environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(libdir, "pkgconfig"))
flags = run("pkg-config", "--cflags", "--libs", "semdns", env=environment).split()
plain = os.path.join(work, "pkgconfig_app")
run(shutil.which("cc") or cc, "-std=c11", os.path.join(source, "project", "c_app.c"), "-o", plain, *flags,
    f"-Wl,-rpath,{libdir}")
answers["pkg-config"] = run(plain, artifact, text)


# ctypes
class Error(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("code", ctypes.c_int32), ("section", ctypes.c_char * 8),
                ("offset", ctypes.c_uint64), ("message", ctypes.c_char * 256)]


class Query(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("stages", ctypes.c_uint32), ("top_k", ctypes.c_uint32),
                ("flags", ctypes.c_uint32), ("text", ctypes.c_char_p), ("text_size", ctypes.c_size_t),
                ("context", ctypes.c_char_p), ("context_size", ctypes.c_size_t), ("now", ctypes.c_uint64),
                ("deadline", ctypes.c_uint64), ("scope", ctypes.c_char_p), ("scope_size", ctypes.c_size_t)]


class Zone(ctypes.Structure):
    _fields_ = [("index", ctypes.c_uint32), ("confidence", ctypes.c_uint32), ("name", ctypes.c_char_p),
                ("path", ctypes.c_char_p)]


class Engine(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("region", ctypes.c_char_p), ("tier", ctypes.c_uint32),
                ("weight", ctypes.c_uint32), ("max_context", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
                ("cost_per_mtok", ctypes.c_double)]


class Answer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in
                ("size", "status", "reason", "retryable", "stage", "cached", "margin", "ttl", "truncated", "repaired")]
    _fields_ += [("serial", ctypes.c_uint64), ("digest", ctypes.c_void_p), ("digest_hex", ctypes.c_char_p),
                 ("zone", Zone), ("best", Zone), ("zone_count", ctypes.c_uint32), ("chain_count", ctypes.c_uint32),
                 ("engine_count", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("zones", Zone * 8),
                 ("chain", Zone * 17), ("engines", Engine * 16)]


lib = ctypes.CDLL(os.path.join(libdir, "libsemdns.so.0"))
lib.semdns_answer_status_text.restype = ctypes.c_char_p
lib.semdns_version.restype = ctypes.c_char_p
error = Error(size=ctypes.sizeof(Error))
handle, resolver, scratch = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
for status in (
        lib.semdns_artifact_open_path(artifact.encode(), None, ctypes.byref(handle), ctypes.byref(error)),
        lib.semdns_resolver_create(handle, None, ctypes.byref(resolver), ctypes.byref(error)),
        lib.semdns_scratch_create(resolver, ctypes.byref(scratch), ctypes.byref(error))):
    if status != 0:
        sys.exit(f"FAILED: ctypes: {error.message.decode()}")
query = Query(size=ctypes.sizeof(Query), text=text.encode(), text_size=len(text))
answer = Answer(size=ctypes.sizeof(Answer))
if lib.semdns_resolve(resolver, scratch, ctypes.byref(query), ctypes.byref(answer)) != 0:
    sys.exit("FAILED: ctypes: semdns_resolve")
status_text = lib.semdns_answer_status_text(answer.status).decode()
answers["ctypes"] = f"{answer.zone.name.decode()} {answer.best.path.decode()} {status_text}\n"
lib.semdns_scratch_destroy(scratch)
lib.semdns_resolver_destroy(resolver)
lib.semdns_artifact_release(handle)

if len(set(answers.values())) != 1:
    sys.exit(f"FAILED: answers differ: {answers}")
print(f"semdns {lib.semdns_version().decode()}: {', '.join(answers)} all answer {answers['ctypes'].strip()!r}")
