# shellcheck shell=bash
# For stories told by a shell: the lines that the runner reads. A feature is a function that ends at its first failing command;
# the last line that it wrote to standard error, or `expect`, says why.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

feature() {
    local name=$1 status
    shift
    # Not in the condition of an `if`: `set -e` would not reach into it.
    set +e
    (
        set -euo pipefail
        cd "$work"
        "$@"
    ) >"$work/out" 2>"$work/err"
    status=$?
    set -e
    if ((status == 0)); then
        echo "PASS $name"
    else
        echo "FAIL $name $(grep -v -e '^SLF4J' -e '^log4j:' -e '^$' "$work/err" | tail -n 3 | tr -s '[:space:]' ' ' | cut -c 1-400)"
        cat "$work/out" "$work/err" >&2
    fi
}

skip() { echo "SKIP $*"; }

# expect WHAT FILE PATTERN: a line of the file looks like the extended regular expression.
expect() {
    grep -q -E -e "$3" "$2" && return
    cat "$2" >&2
    echo "$1: no line like $3 in: $(tail -n 3 "$2" | tr -s '[:space:]' ' ')" >&2
    return 1
}

# same WHAT EXPECTED FOUND
same() {
    [[ $2 == "$3" ]] && return
    echo "$1: expected $2, found $3" >&2
    return 1
}

# until_so WHAT COMMAND...: within 60 seconds.
until_so() {
    local what=$1 deadline=$((SECONDS + 60))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || { echo "not within 60 s: $what" >&2 && return 1; }
        sleep 0.2
    done
}
