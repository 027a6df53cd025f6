"""A Lambda Runtime API: hands the real function its invocations, one at a time, and takes its answers.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

import json
import queue
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NEXT = "/2018-06-01/runtime/invocation/next"


class FunctionFailed(Exception):
    """What the function said was wrong."""


class RuntimeApi:
    """Serves on a port of its own until it is closed."""

    def __init__(self, function_arn, timeout_s):
        self.function_arn, self.timeout_s = function_arn, timeout_s
        self.events, self.answers = queue.Queue(), queue.Queue()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def invoke(self, event):
        """One invocation; the answer, or FunctionFailed."""
        self.events.put(event)
        # Its start is not part of its timeout on AWS either.
        failed, answer = self.answers.get(timeout=self.timeout_s + 20)
        if failed:
            raise FunctionFailed(answer)
        return answer

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def handler(api):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path != NEXT:
                    return self.answer(404, {})
                event = api.events.get()
                return self.answer(
                    200,
                    event,
                    {
                        "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
                        "Lambda-Runtime-Deadline-Ms": str(int((time.time() + api.timeout_s) * 1000)),
                        "Lambda-Runtime-Invoked-Function-Arn": api.function_arn,
                    },
                )

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) if "Content-Length" in self.headers else self.chunks())
                api.answers.put((self.path.endswith("/error"), body))
                self.answer(202, {})

            def chunks(self):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def answer(self, status, body, headers=None):
                text = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": len(text), **(headers or {})}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        return Handler
