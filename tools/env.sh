# shellcheck shell=bash
# Sourced by the scripts beside it: where the project is, one-line messages, the compiler cache.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
deps=$project/.deps
me=$(basename "$0")

say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() {
  say "$1"
  shift
  local line
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

# timed LABEL COMMAND...: runs the command, then says how long it took.
timed() {
  local label=$1 start=$SECONDS
  shift
  say "$label"
  "$@" || {
    local code=$?
    say "$label: failed after $((SECONDS - start)) s"
    return "$code"
  }
  say "$label: $((SECONDS - start)) s"
}

# Paths below the project are hashed as relative ones, so that another clone of it hits the same cache.
export CCACHE_BASEDIR=$project CCACHE_NOHASHDIR=1
if [[ -z ${CCACHE_DIR:-} ]] && ! mkdir -p "${XDG_CACHE_HOME:-${HOME:-/}/.cache}/ccache/tmp" 2>/dev/null; then
  export CCACHE_DIR=$deps/ccache
fi

# The generator and compiler that the CUDA profile brings come first.
if [[ -x $deps/site/bin/cmake ]]; then
  export PATH=$deps/site/bin:$PATH PYTHONPATH=$deps/site${PYTHONPATH:+:$PYTHONPATH}
fi
