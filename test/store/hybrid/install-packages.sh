#!/bin/sh
# Installs the vector databases' packages for the tests of hybrid stores in a folder of their own, outside the
# project's node_modules; nothing happens where they are there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder="$here/../../../.mnemail/vector-packages"
if cmp -s "$here/packages/package.json" "$folder/installed.json"; then exit 0; fi
mkdir -p "$folder"
cp "$here/packages/package.json" "$folder/package.json"
cd "$folder"
timeout 150 npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error
cp "$here/packages/package.json" "$folder/installed.json"
