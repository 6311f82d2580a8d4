#!/usr/bin/env bash
# The main job on real input, as `./dev demo` shows it: mine, build, inspect, evaluate, resolve.
# Expects build/release and build/corpora; redoes only what is older than what it is made from. Takes
# the folder of a sentence encoder, or nothing: then the artifact has no stage 3.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
bin=build/release/bin
corpora=build/corpora
out=build/demo
encoder=${1:-}
mkdir -p "$out"

show() { # prints the command as a user would type it, then runs it
  local word line=
  for word in "$@"; do
    [[ $word == *[\ \'\"]* ]] && word="'$word'"
    line+="${word//$bin\//} "
  done
  printf '\n\033[1m$ %s\033[0m\n' "${line% }" >&2
  "$@"
}
newer_than() { # true if $1 exists and is newer than every other argument
  local target=$1 input
  shift
  [[ -f $target ]] || return 1
  for input in "$@"; do [[ $target -nt $input ]] || return 1; done
}

domains=()
for folder in corpora/*/; do
  domain=$(basename "$folder")
  [[ -f $folder/corpus.txtpb ]] && domains+=("$domain")
done

compressed=computing/git
# One library per zone, each against all other zones: seconds for all of them.
libraries=()
for domain in "${domains[@]}"; do
  mkdir -p "$out/$domain"
  for text in "$corpora/$domain"/*.txt; do
    zone=$(basename "$text" .txt)
    library=$out/$domain/$zone.plib
    libraries+=("$library")
    if newer_than "$library" "$text" $bin/mine-patterns; then continue; fi
    input=$text codecs=none
    if [[ $domain/$zone == "$compressed" ]]; then
      # This zone learns to compress, too; what it will be tried on it must not have seen.
      input=$out/$domain/$zone.txt codecs=zstd,turbo
      head -c -4096 "$text" >"$input"
      tail -c 4096 "$text" >"$out/context.txt"
    fi
    show $bin/mine-patterns --domain="$zone.$domain" --input="$input" --background="$corpora" \
      --max-patterns=1000 --codec="$codecs" -f -o "$library" | sed -n '1p;3p' # size and keywords
  done
done

spec=corpora/hierarchies/demo.txtpb
artifact=$out/demo.sdna
with=()
[[ -n $encoder ]] && with=(--encoder="$encoder")
if [[ $(cat "$out/encoder.txt" 2>/dev/null || true) != "$encoder" ]]; then rm -f "$artifact"; fi
echo "$encoder" >"$out/encoder.txt"
if newer_than "$artifact" "$spec" "${libraries[@]}" $bin/build-hierarchy; then
  echo "mined libraries and $artifact are up to date" >&2
else
  show $bin/build-hierarchy "$spec" "${with[@]}" -o "$artifact" -f -j"$(nproc)"
fi

show $bin/inspect-artifact "$artifact"
cat corpora/*/queries.jsonl >"$out/queries.jsonl"
show $bin/evaluate-hierarchy "$artifact" --queries="$out/queries.jsonl"
# In no training file: one that a keyword decides, one for the embedding, one that climbs to its
# domain, one that nobody should take.
show $bin/resolve-query @"$artifact" +short \
  'my goroutine blocks forever on a channel' \
  'may I sell software under the gnu general public license' \
  'who wrote that sonnet about summer' \
  'hello there'
show $bin/resolve-query @"$artifact" +trace 'which antibiotic treats pneumonia in adults'

# The end of that zone's text, which no library holds: there and back.
show $bin/compress-context @"$artifact" --zone="$compressed" --mode=turbo "$out/context.txt" -f -o "$out/context.sdnz"
show $bin/compress-context @"$artifact" -d "$out/context.sdnz" -f -o "$out/context.back"
cmp "$out/context.txt" "$out/context.back"

cat >&2 <<EOF

What next:
  $bin/resolve-query @$artifact --json 'your own question'     one JSON object, all fields
  $bin/bench-artifact $artifact --queries=$out/queries.jsonl    nanoseconds a query, per instruction set
  docs/tutorial.md                                              your own domain in 15 minutes
  ./dev test                                                    every test
EOF
