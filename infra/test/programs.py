"""The real programs, as Terraform deploys them: with the arguments and variables of their task, or of the function, under their role.
Only what names a place is set to one on this machine."""

import os
import signal
import subprocess
import time
import urllib.request

import boto3

from deployment import settings_of

AWS_ACCOUNT_FREE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


class Place:
    """Where things are on this machine."""

    def __init__(self, binaries, work, endpoint, region, postgres):
        self.binaries, self.work, self.endpoint, self.region = binaries, work, endpoint, region
        self.settings = {
            **postgres,
            # The private Postgres has neither passwords nor TLS, moto has no names for buckets.
            "YAKS_DB_PASSWORD": "none",
            "YAKS_DB_SSLMODE": "disable",
            "YAKS_S3_PATH_STYLE": "true",
        }

    def client(self, service, credentials=None):
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        arguments = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        keys = {a: credentials[n] for n, a in zip(names, arguments)} if credentials else {}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=self.region, **keys)

    def assume(self, role_arn):
        return self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="infra-test")["Credentials"]


def identity(credentials):
    """What ECS and Lambda give a program: the credentials of its role, if it has one."""
    if credentials is None:
        return {}
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


class Program:
    """One process; its log is a file."""

    def __init__(self, place, name, binary, settings, credentials, arguments=(), extra=None):
        self.name, self.log = name, f"{place.work}/{name}.log"
        environment = {
            "PATH": os.environ["PATH"],
            **AWS_ACCOUNT_FREE,
            **identity(credentials),
            # The one variable that sends the SDK to moto.
            "AWS_ENDPOINT_URL": place.endpoint,
            # As ECS does it: a variable without a value is not there. (Lambda keeps it, see `function`.)
            **{k: v for k, v in settings.items() if v != "" or name == "function"},
            **{k: v for k, v in place.settings.items() if k in settings or k == "YAKS_DB_PASSWORD"},
            **(extra or {}),
        }
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [f"{place.binaries}/{binary}", *arguments], env=environment, stderr=log, stdout=log, stdin=subprocess.DEVNULL
            )

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_until(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.said()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: not {what} after {seconds} s:\n{self.said()}")
            time.sleep(0.1)

    def succeed(self):
        """Waits for its good end."""
        if self.process.wait(timeout=60):
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.said()}")

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def read(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


def answers(url):
    """Whether it says 200."""
    try:
        return read(url) is not None
    except OSError:
        return False


def migrate(place, deployment):
    # Its task has no role: it talks to Postgres only.
    container = deployment.containers("migrate")["migrate"]
    Program(place, "migrate", "yaks-agent", settings_of(container), None, container["command"]).succeed()


def agent(place, deployment, credentials, ports, extra):
    container = deployment.containers("agent")["agent"]
    here = {
        "YAKS_ADVERTISED_HOST": "127.0.0.1",
        "YAKS_BROKER_PORT": str(ports["kafka"]),
        "YAKS_METRICS_PORT": str(ports["admin"]),
        "YAKS_CACHE_URL": f"http://127.0.0.1:{ports['cache']}",
        "YAKS_CACHE_ADVERTISED_URL": "",
        **extra,
    }
    program = Program(place, "agent", "yaks-agent", settings_of(container), credentials, container["command"], here)
    program.wait_until(lambda: answers(f"http://127.0.0.1:{ports['admin']}/readyz"), "ready")
    return program


def cache(place, deployment, credentials, ports):
    container = deployment.containers("agent")["cache"]
    here = {
        "YAKS_CACHE_PORT": str(ports["cache"]),
        "YAKS_CACHE_SIZE_MB": "16",
        "YAKS_CACHE_DISK_MB": "256",
        "YAKS_CACHE_DISK_DIR": f"{place.work}/cache",
    }
    program = Program(place, "cache", "yaks-cache", settings_of(container), credentials, container["command"], here)
    program.wait_until(lambda: answers(f"http://127.0.0.1:{ports['cache']}/livez"), "alive")
    return program


def function(place, deployment, credentials, runtime_api, extra):
    here = {"AWS_LAMBDA_RUNTIME_API": runtime_api.address, "AWS_REGION": place.region, **lambda_variables(deployment), **extra}
    return Program(place, "function", "yaks-materializer", deployment.function_settings(), credentials, (), here)


def lambda_variables(deployment):
    values = deployment.function()
    return {
        "AWS_LAMBDA_FUNCTION_NAME": values["function_name"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(values["memory_size"]),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{values['function_name']}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "infra-test",
    }
