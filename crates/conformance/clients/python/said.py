"""The lines that the runner reads: `PASS feature`, `FAIL feature reason`, `SKIP feature reason`, `VERSION name version`."""

import time
from collections import defaultdict

PATIENCE_S = 60
PARTITIONS = 3
RECORDS = 30
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def line(*words):
    print(" ".join(" ".join(str(word).split()) for word in words), flush=True)


def feature(name, tell, *args):
    try:
        tell(*args)
        line("PASS", name)
    except Exception as failed:
        line("FAIL", name, repr(failed))


def skip(name, reason):
    line("SKIP", name, reason)


def check(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


def same(expected, found, what):
    check(expected == found, f"{what}: expected {expected!r}, found {found!r}")


def until(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}")


def refused(what, call, *args):
    try:
        call(*args)
    except Exception as error:
        return error
    raise AssertionError(f"{what} was taken")


def shared(first, second):
    """Whether two members have all partitions between them, none of them twice."""
    return bool(first and second) and not first & second and len(first | second) == PARTITIONS


def story(label):
    """(partition, key, value, headers) of what is produced under a label."""
    return [
        (i % PARTITIONS, f"k{i}".encode(), f"{label}-{i}".encode(), [("label", label.encode())]) for i in range(RECORDS)
    ]


def check_story(produced, records):
    """All that was produced, once, in order, without a hole; records are (partition, offset, key, value, headers)."""
    following = defaultdict(int)
    for partition, offset, key, value, headers in records:
        same(following[partition], offset, "offset")
        following[partition] += 1
        same(dict(headers)["label"] + b"-" + key[1:], value, "value")
    same(sorted(produced), sorted(record[3] for record in records), "values")
