"""storage_class = "express", which no emulator has: what a plan of it would leave, and would not."""

import re

from deployment import settings_of

SENDS_EVENTS = ("aws_s3_bucket_notification", "aws_lambda_event_source_mapping", "aws_cloudwatch_event_rule", "aws_lambda_permission")


def check(plan):
    directory = plan.one("aws_s3_directory_bucket")
    assert not plan.all("aws_s3_bucket"), "a bucket of the usual kind is left"
    waits_for_no_event(plan)
    is_in_the_agents_zone(plan, directory)
    is_what_the_programs_are_told(plan, directory)
    gateways = {e["service_name"].split(".")[-1] for e in plan.all("aws_vpc_endpoint") if e["vpc_endpoint_type"] == "Gateway"}
    assert gateways == {"s3", "s3express"}, gateways
    print(f"  {directory['bucket']}: in the agents' zone, by its own gateway, and nothing waits for its events")


def waits_for_no_event(plan):
    waiting = [kind for kind in SENDS_EVENTS if plan.all(kind)] + [queue["name"] for queue in plan.all("aws_sqs_queue", "events")]
    assert not waiting, f"nobody sends events, and {waiting} wait for them"


def is_in_the_agents_zone(plan, directory):
    zone = directory["location"][0]["name"]
    # 3 to 63 characters, of which AWS wants the last.
    assert re.fullmatch(rf"[a-z0-9-]{{3,{63 - len(zone) - 9}}}--{zone}--x-s3", directory["bucket"]), directory["bucket"]
    racks = {settings_of(container)["YAKS_RACK"] for container in [plan.containers("agent")["agent"]]}
    assert racks == {zone}, f"agents are in {racks}, the bucket is in {zone}"


def is_what_the_programs_are_told(plan, directory):
    agent, cache = (settings_of(plan.containers("agent")[name]) for name in ("agent", "cache"))
    for settings in (agent, cache, plan.function_settings()):
        assert settings["YAKS_S3_BUCKET"] == directory["bucket"], settings
        # Directory buckets are in the host's name, always.
        assert settings["YAKS_S3_PATH_STYLE"] == "false", settings
    assert agent["YAKS_COMMIT_PATH"] == "invoke", agent["YAKS_COMMIT_PATH"]
