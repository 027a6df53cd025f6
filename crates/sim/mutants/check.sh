#!/usr/bin/env bash
# Does the simulator find each invariant of docs/ARCHITECTURE.md, and what an ADR decided, broken on purpose? Each patch here breaks one in the product; each is
# applied to a copy of the tree, and the simulator has to fail within SEEDS seeds.
#
#   check.sh [PATCH...]      all patches, or those named; SEEDS=200
#   check.sh --apply-only    only whether each patch still applies (fast; what CI runs)
#
# The copy is of the commit that is checked out. It and what is built from it lie in MUTANTS_DIR, by default below the system's folder
# for temporary files; keep it, and the next check builds in seconds.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(git -C "$here" rev-parse --show-toplevel)
seeds=${SEEDS:-200}
scratch=${MUTANTS_DIR:-${TMPDIR:-/tmp}/yaks-mutants}

apply_only=false
if [[ ${1:-} == --apply-only ]]; then
  apply_only=true
  shift
fi
if (($# > 0)); then
  mapfile -t patches < <(realpath "$@")
else
  patches=("$here"/*.patch)
fi

if $apply_only; then
  failed=0
  for patch in "${patches[@]}"; do
    if ! git -C "$root" apply --check "$patch"; then
      echo "$(basename "$patch"): does not apply any more"
      failed=1
    fi
  done
  echo "${#patches[@]} patches checked"
  exit "$failed"
fi

mkdir -p "$scratch"
rm -rf "$scratch/tree"
mkdir "$scratch/tree"
git -C "$root" archive HEAD | tar -x -C "$scratch/tree"
cd "$scratch/tree"
# A repository of its own, so that `git apply` works on this folder and on no other.
git init -q .
export CARGO_TARGET_DIR=$scratch/target

survivors=0
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  git apply "$patch"
  cargo build -q --workspace --bins
  if "$CARGO_TARGET_DIR/debug/yaks-sim" --seeds "$seeds" >"$scratch/$name.log" 2>&1; then
    echo "$name: NOT FOUND in $seeds seeds, see $scratch/$name.log"
    survivors=$((survivors + 1))
  else
    echo "$name: found; $(grep -m 1 -A 1 FAILED "$scratch/$name.log" | tr -s '\n ' ' ' | cut -c 1-200)"
  fi
  git apply -R "$patch"
done
exit "$((survivors > 0))"
