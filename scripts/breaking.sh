#!/usr/bin/env bash
# breaking.sh <buf>: compares the contracts with those of the main branch.
# Without a main branch (a shallow checkout) there is nothing to compare with.
set -euo pipefail
cd "$(dirname "$0")/.."
buf=$1

for ref in origin/main main; do
	if git cat-file -e "$ref:proto/buf.yaml" 2>/dev/null; then
		before=$(mktemp -d)
		trap 'rm -rf "$before"' EXIT
		git archive "$ref" proto | tar -x -C "$before"
		echo "buf breaking against $ref"
		cd proto && "$buf" breaking --against "$before/proto"
		exit
	fi
done
echo "buf breaking skipped: no main branch here"
