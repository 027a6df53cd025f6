"""Runs the function's zip as Lambda does: unpacked, under a Runtime API, and never warm. Says how long it takes from its start to its
first question for work, which is the part of a cold start that is ours. Usage: cold_start.py MATERIALIZER.ZIP [RUNS]"""

import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "test"))
from runtime_api import RuntimeApi  # noqa: E402

# S3 says this when a notification is set; it asks for nothing, so neither Postgres nor S3 is needed.
TRIAL = {"Service": "Amazon S3", "Event": "s3:TestEvent"}


class Asked(queue.Queue):
    """Events, and when the function first asked for one."""

    def __init__(self):
        super().__init__()
        self.first = threading.Event()
        self.at = None

    def get(self, *args, **kwargs):
        if self.at is None:
            self.at = time.monotonic()
            self.first.set()
        return super().get(*args, **kwargs)


def start(bootstrap):
    """One cold start: seconds until it asked, and until it had answered."""
    api = RuntimeApi("arn:aws:lambda:us-east-1:000000000000:function:yaks-materializer", 10)
    api.events = Asked()
    # It is killed in the middle of its next question, as a sandbox is.
    api.server.handle_error = lambda *_: None
    environment = {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "yaks-materializer",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "YAKS_S3_ENDPOINT": "",
        "YAKS_S3_ACCESS_KEY": "",
        "YAKS_S3_SECRET_KEY": "",
    }
    started = time.monotonic()
    process = subprocess.Popen([bootstrap], env=environment, stderr=subprocess.PIPE)
    try:
        if not api.events.first.wait(20):
            raise SystemExit(f"the function never asked for work: {process.stderr.read() if process.poll() is not None else b''!r}")
        answer = api.invoke(TRIAL)
        answered = time.monotonic() - started
        assert answer is None, answer
    finally:
        process.kill()
        process.communicate()
        api.close()
    return api.events.at - started, answered


def main(archive, runs=11):
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as packed:
            assert packed.namelist() == ["bootstrap", "rds-global-bundle.pem"], packed.namelist()
            bootstrap = packed.extract("bootstrap", folder)
        os.chmod(bootstrap, 0o755)
        version = subprocess.run([bootstrap, "--version"], check=True, capture_output=True, text=True).stdout.strip()
        times = [start(bootstrap) for _ in range(runs)]
    print(f"{version}: {os.path.getsize(archive) / 2**20:.2f} MiB zipped")
    for what, of in [("start to first poll", 0), ("start to first answer", 1)]:
        ms = sorted(1000 * run[of] for run in times)
        print(f"{what}: median {statistics.median(ms):.1f} ms, {ms[0]:.1f} to {ms[-1]:.1f} ms in {runs} starts")


main(sys.argv[1], *map(int, sys.argv[2:]))
