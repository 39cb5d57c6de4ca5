#!/usr/bin/env bash
# run.sh PROGRAM DOCUMENT GUIDE: generates the TypeScript client from the document, compiles its users (client.ts, story.ts and the program of
# the guide) under strict settings, and runs them against a new service. The tools come from the PATH.
set -euo pipefail
program=$1 document=$2 guide=$3
cd "$(dirname "${BASH_SOURCE[0]}")"
awk '/^```/ { inside = ($0 == "```ts guide"); next } inside' "$guide" >guide.ts
[ -s guide.ts ] || { echo "$guide contains no program" >&2 && exit 1; }
openapi-typescript "$document" -o schema.ts
rm -rf out
tsc -p .
../live.sh "$program" node out/story.js
said=$(../live.sh "$program" node out/guide.js)
echo "$said"
# Lines that the guide must print.
for line in "Customer database → Database of customers" "AST-1 Database of customers" "/integrity" "EVD-1" "93 requirements apply" "304"; do
  grep -qF -- "$line" <<<"$said" || { echo "the guide did not print: $line" >&2 && exit 1; }
done
