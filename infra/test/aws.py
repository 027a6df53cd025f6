"""The emulated AWS: moto as a server, which also writes down every call, one JSON object per line.

    aws.py PORT CALLS_FILE
"""

import json
import os
import re
import signal
import sys
import threading

PORT, CALLS_FILE = int(sys.argv[1]), sys.argv[2]

# Before moto is loaded, which reads it then.
os.environ["MOTO_PORT"] = str(PORT)
# Buckets are in the path here; else moto looks for one in the host's name.
os.environ["S3_IGNORE_SUBDOMAIN_BUCKETNAME"] = "true"

import moto_gaps  # noqa: E402
from moto.core.config import default_user_config  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple  # noqa: E402

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")


REQUEST = threading.local()


class Recorder:
    """Passes every request on to moto and writes down who asked for what, and how it was answered."""

    def __init__(self, app, path):
        self.app = app
        self.lock = threading.Lock()
        self.calls = open(path, "a", buffering=1, encoding="utf-8")

    def __call__(self, environ, start_response):
        REQUEST.if_none_match = environ.get("HTTP_IF_NONE_MATCH")

        def answered(status, headers, exc_info=None):
            self.note(environ, int(status.split()[0]))
            return start_response(status, headers, exc_info)

        return self.app(environ, answered)

    def note(self, environ, status):
        credential = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if not credential:
            return
        call = {
            "access_key": credential[1],
            "region": credential[2],
            "service": credential[3],
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": environ.get("QUERY_STRING", ""),
            "target": environ.get("HTTP_X_AMZ_TARGET", ""),
            "if_none_match": environ.get("HTTP_IF_NONE_MATCH"),
            "status": status,
        }
        with self.lock:
            self.calls.write(json.dumps(call) + "\n")


class QuietHandler(MotoRequestHandler):
    def log_request(self, *args):
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Functions are not run here: that is what the test does itself, with the real one.
    default_user_config["lambda"]["use_docker"] = False
    moto_gaps.fill(REQUEST)
    moto = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", PORT, Recorder(moto_gaps.BucketMetrics(moto), CALLS_FILE), threaded=True, request_handler=QuietHandler)
