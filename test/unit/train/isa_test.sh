#!/bin/sh
# isa_test.sh TRAINER OTHER_TRAINER: both must make the same model of the same texts; one thread and
# two as well.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
awk 'BEGIN {
  srand(3)
  for (i = 0; i < 900; ++i) {
    z = i % 30
    text = ""
    for (n = 0; n < 7; ++n)
      text = text " w" (rand() < 0.6 ? int(rand() * 300) : 1000 + z * 7 + int(rand() * 7)) "x"
    printf "{\"text\": \"%s\", \"label\": \"top%d/zone%d\"}\n", text, z % 4, z
  }
}' >"$dir/train.jsonl"
"$1" "$dir/train.jsonl" "$dir/train.jsonl" --threads=1 --stand-in-teacher | grep '^  model ' >"$dir/a"
"$2" "$dir/train.jsonl" "$dir/train.jsonl" --threads=2 --stand-in-teacher | grep '^  model ' >"$dir/b"
cat "$dir/a" "$dir/b"
cmp "$dir/a" "$dir/b"
