"""Runs the real programs on the deployment, as their roles: notification -> queue -> function -> offset, poison, a consumer, a dead agent,
the sweep, an orphan. Every call of AWS that they make is recorded by aws.py."""

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

import postgres
import programs
from event_queue import EventQueue
from runtime_api import RuntimeApi

# What is committed here, the function has committed.
NO_STALL_RULE = {"YAKS_COMMIT_STALL_MS": "0"}
# Short, so that the test need not wait for what takes a day.
QUICK_SWEEP = {"YAKS_SWEEP_GRACE_MS": "5001", "YAKS_ORPHAN_GRACE_MS": "1000"}


class Run:
    def __init__(self, place, deployment):
        self.place, self.deployment = place, deployment
        self.bucket = deployment.bucket()["bucket"]
        self.admin = place.client("s3")
        self.roles = {kind: place.assume(deployment.one("aws_iam_role", kind)["arn"]) for kind in ("task", "function")}
        self.ports = {name: postgres.free_port() for name in ("kafka", "admin", "cache")}

    def all_of_it(self):
        with ExitStack() as stack:
            self.programs = stack
            self.runtime_api = RuntimeApi(self.deployment.function()["arn"], self.deployment.function()["timeout"])
            stack.callback(self.runtime_api.close)
            self.queue = EventQueue(
                self.place.client("sqs", self.roles["function"]),
                self.deployment.one("aws_sqs_queue", "events")["url"],
                self.runtime_api,
            )
            self.take_over_the_queue()
            self.function = self.start(programs.function, self.roles["function"], self.runtime_api, QUICK_SWEEP)
            self.test_message_is_handled_silently()
            self.poison_is_a_dead_letter()
            self.agent_commits_through_the_function()
            self.consumer_reads_through_the_sidecar()
            self.sweep_ends_a_dead_stream_and_clears_its_orphan()

    def start(self, how, credentials, *arguments):
        program = how(self.place, self.deployment, credentials, *arguments)
        self.programs.callback(program.end)
        return program

    def take_over_the_queue(self):
        """moto would play Lambda itself, and answer for the function."""
        mapping = self.deployment.one("aws_lambda_event_source_mapping")
        set_enabled = self.place.client("lambda").update_event_source_mapping
        set_enabled(UUID=mapping["uuid"], Enabled=False)
        self.programs.callback(set_enabled, UUID=mapping["uuid"], Enabled=True)
        while self.queue.receive(0):
            pass

    # --- notification, queue, function ---

    def test_message_is_handled_silently(self):
        """S3 sends one whenever a notification is set."""
        name = {"Bucket": self.bucket}
        notification = self.admin.get_bucket_notification_configuration(**name)
        notification.pop("ResponseMetadata")
        self.admin.put_bucket_notification_configuration(**name, NotificationConfiguration=notification)
        before = len(self.function.said())
        assert self.queue.pump(wait_s=5) == 1, "the notification sent no test message"
        assert self.queue.delivered[-1]["Event"] == "s3:TestEvent", self.queue.delivered
        said = [line for line in self.function.said()[before:].splitlines() if '"level":"INFO"' not in line]
        assert not said, f"not silent: {said}"
        print("  a test message of S3 is handled without a word")

    def poison_is_a_dead_letter(self):
        dead_letters = {"QueueUrl": self.deployment.one("aws_sqs_queue", "dead_letters")["url"]}
        sqs, body = self.place.client("sqs"), '{"hello": "world"}'
        sent = sqs.send_message(QueueUrl=self.queue.url, MessageBody=body)
        assert self.queue.pump(wait_s=5) == 1, "the message did not come"
        letters = sqs.receive_message(**dead_letters, MessageAttributeNames=["All"], WaitTimeSeconds=5).get("Messages", [])
        assert [letter["Body"] for letter in letters] == [body], letters
        said = {name: value["StringValue"] for name, value in letters[0]["MessageAttributes"].items()}
        reason = "unknown event: an object with the fields [hello]"
        assert said == {"reason": reason, "event_queue": self.queue.arn, "message_id": sent["MessageId"]}, said
        sqs.delete_message(**dead_letters, ReceiptHandle=letters[0]["ReceiptHandle"])
        assert not self.queue.receive(0), "it is in the event queue as well"
        self.counted_for_cloudwatch("yaks_materializer_dead_letters_total", 1, result="sent")
        print(f"  a message that is no event is a dead letter: {reason}")

    def counted_for_cloudwatch(self, metric, at_least, **labels):
        """Counted on the function's stdout, in the deployment's namespace."""
        namespace = self.deployment.function_settings()["YAKS_EMF_NAMESPACE"]
        lines = [json.loads(line) for line in self.function.said().splitlines() if '"_aws"' in line]
        directives = [line["_aws"]["CloudWatchMetrics"][0] for line in lines]
        assert {directive["Namespace"] for directive in directives} == {namespace}, directives
        lines = [line for line in lines if labels.items() <= line.items()]
        assert sum(line.get(metric, 0) for line in lines) >= at_least, f"{metric} {labels}: {lines}"

    def agent_commits_through_the_function(self):
        programs.migrate(self.place, self.deployment)
        self.agent = self.start(programs.agent, self.roles["task"], self.ports, NO_STALL_RULE)
        self.put_without_its_condition_is_refused()
        self.admin.put_object(Bucket=self.bucket, Key="elsewhere/object", Body=b"no slot")
        with self.pumping():
            self.produce("alpha", acks="all")
        created = [unquote_plus(message["Records"][0]["s3"]["object"]["key"]) for message in self.queue.delivered if "Records" in message]
        assert created and all(key.startswith("data/") for key in created), created
        self.counted_for_cloudwatch("yaks_materializer_objects_total", len(created), result="committed")
        print(f"  PUT -> notification -> queue -> function -> offset: acks=all was answered; events of {created}")

    def put_without_its_condition_is_refused(self):
        """Even to who may do anything: the bucket's policy comes first."""
        slot = {"Bucket": self.bucket, "Key": "data/anything", "Body": b""}
        try:
            self.admin.put_object(**slot)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
        else:
            raise AssertionError("a PUT under data/ without If-None-Match was taken")

    def consumer_reads_through_the_sidecar(self):
        """A sidecar that has just started has to ask S3. An agent that found it gone may go past it for a moment."""
        self.start(programs.cache, self.roles["task"], self.ports)
        deadline = time.monotonic() + 30
        while not self.pages_from_s3():
            assert time.monotonic() < deadline, "the agent does not read through the sidecar"
            assert self.kcat("-C", "-t", "orders", "-p", "0", "-o", "beginning", "-c", "1", "-q") == "alpha\n"
        print("  a consumer reads it through a cold sidecar")

    def pages_from_s3(self):
        metrics = programs.read(f"http://127.0.0.1:{self.ports['cache']}/metrics")
        name = 'yaks_cache_page_reads_total{source="origin"} '
        return sum(int(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name))

    # --- what is left of an agent that died ---

    def sweep_ends_a_dead_stream_and_clears_its_orphan(self):
        """Two objects that nobody commits, the agent killed, and the first object gone: then the second is an orphan."""
        before = self.slots()
        self.produce("beta", acks="1")
        self.produce("gamma", acks="1")
        first, second = sorted(self.slots() - before)
        self.agent.end(signal.SIGKILL)
        while self.queue.receive(0):
            pass
        self.admin.delete_object(Bucket=self.bucket, Key=first)
        swept = {"ended": 0, "orphans_deleted": 0}
        event = json.loads(self.deployment.one("aws_scheduler_schedule", "sweep")["target"][0]["input"])
        deadline = time.monotonic() + 90
        while not all(swept.values()):
            assert time.monotonic() < deadline, f"the sweep did not end the stream: {swept}\n{self.function.said()}"
            answer = self.runtime_api.invoke(event)
            swept = {name: count + answer[name] for name, count in swept.items()}
            time.sleep(0.5)
        assert first in self.slots() and second not in self.slots()
        print("  a sweep, asked for as the schedule does, put a tombstone into the free slot and deleted the orphan behind it")

    def slots(self):
        listed = self.admin.list_objects_v2(Bucket=self.bucket, Prefix="data/")
        return {entry["Key"] for entry in listed.get("Contents", [])}

    # --- Kafka ---

    def produce(self, text, acks):
        # kcat's stdin is the record.
        self.kcat("-P", "-t", "orders", "-p", "0", "-X", f"acks={acks}", "-X", "message.timeout.ms=50000", given=text + "\n")

    def kcat(self, *arguments, given=""):
        command = ["kcat", "-b", f"127.0.0.1:{self.ports['kafka']}", *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}\n{self.agent.said()}"
        return done.stdout

    @contextmanager
    def pumping(self):
        """Plays Lambda meanwhile."""
        over, failures = threading.Event(), []

        def pump():
            while not over.is_set():
                try:
                    self.queue.pump()
                except Exception as error:  # noqa: BLE001
                    failures.append(error)
                    return

        thread = threading.Thread(target=pump)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failures:
            raise failures[0]


def run(deployment, binaries, work, endpoint, region):
    os.makedirs(work, exist_ok=True)
    with postgres.running() as settings:
        place = programs.Place(binaries, work, endpoint, region, settings)
        this = Run(place, deployment)
        this.all_of_it()
    return this.roles
