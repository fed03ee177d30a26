#!/usr/bin/env bash
# fuzz.sh <fuzztime>: runs every fuzz test of the system, one after the other.
# Inputs that fail are kept in testdata/fuzz beside the test.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:-20s}

grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' pkg services | sort | while IFS=: read -r file _ func; do
	dir=$(dirname "$file")
	name=${func#func }
	echo "fuzz $dir $name"
	"${GO:-go}" test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" "./$dir"
done
