"""A Postgres of our own, for the length of a `with`: private folder, private port, no password needed from this machine."""

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile


def binaries():
    """The folder with initdb and postgres, or None."""
    places = [os.path.dirname(shutil.which("initdb") or "")]
    places += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    for place in places:
        if place and all(os.access(f"{place}/{program}", os.X_OK) for program in ("initdb", "pg_ctl", "postgres")):
            return place
    return None


def unprivileged():
    """Arguments with which a process is somebody whom initdb accepts: it refuses root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running():
    """Yields what YAKS_DB_* would be set to."""
    folder, who, port = binaries(), unprivileged(), free_port()
    root = tempfile.mkdtemp(prefix="yaks-infra-postgres-")
    if who:
        os.chown(root, who["user"], who["group"])
    data, log = f"{root}/data", f"{root}/log"

    def run(program, *arguments):
        command = [f"{folder}/{program}", "-D", data, *arguments]
        done = subprocess.run(
            command, cwd=root, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, capture_output=True, text=True, check=False, **who
        )
        if done.returncode:
            said = open(log, encoding="utf-8", errors="replace").read() if os.path.exists(log) else ""
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}{said}")

    try:
        run("initdb", "-U", "yaks", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_buffers=16MB"
        run("pg_ctl", "-w", "-s", "-l", log, "-o", options, "start")
        try:
            yield {"YAKS_DB_HOST": "127.0.0.1", "YAKS_DB_PORT": str(port), "YAKS_DB_NAME": "postgres"}
        finally:
            run("pg_ctl", "-w", "-s", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)
