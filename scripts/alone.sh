#!/usr/bin/env bash
# Builds every module of the system without the workspace, as somebody would
# who takes only that module. Tools have modules of their own and are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

find proto pkg services -name go.mod | sort | while read -r mod; do
	dir=$(dirname "$mod")
	echo "build $dir alone"
	(cd "$dir" && GOWORK=off "${GO:-go}" build -o /dev/null ./...)
done
