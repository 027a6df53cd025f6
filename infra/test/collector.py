"""The collector's settings, which nobody here runs: do they hang together, and do the programs send where it listens?"""

import re
from pathlib import Path

import yaml

from deployment import settings_of

ROOT = Path(__file__).resolve().parents[2]


def check(deployment):
    containers = deployment.containers("agent")
    senders = {name: settings_of(containers[name]) for name in ("agent", "cache")}
    senders["function"] = deployment.function_settings()
    exporting = sorted(name for name, settings in senders.items() if settings.get("YAKS_OTEL_ENABLED") == "true")
    if "collector" not in containers:
        assert not exporting, f"{exporting} export spans, and there is no collector"
        return
    assert exporting == ["agent", "cache", "function"], exporting
    port = receives_otlp_over_http(containers["collector"])
    senders_meet_it(deployment, senders, port)
    fits_its_task(deployment, containers)
    print(f"  collector: its settings name what they define; agent, cache and function send to its port {port}")


def receives_otlp_over_http(container):
    """The port of the traces' pipeline, whose every part has to be defined, and every defined part used."""
    config = yaml.safe_load(settings_of(container)["AOT_CONFIG_CONTENT"])
    for part in ("receivers", "processors", "exporters"):
        used = {name for pipeline in config["service"]["pipelines"].values() for name in pipeline[part]}
        assert used == set(config[part]), f"collector: {part} {sorted(used)} are used, {sorted(config[part])} defined"
    traces = config["service"]["pipelines"]["traces"]
    # The limiter has to come before anything that keeps spans.
    assert traces["processors"][0] == "memory_limiter" and traces["exporters"] == ["awsxray"], traces
    assert traces["receivers"] == ["otlp"] and list(config["receivers"]["otlp"]["protocols"]) == ["http"], config["receivers"]
    host, _, port = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].partition(":")
    assert host == "0.0.0.0", f"the function sends from outside of the task, and {host} hears nobody"
    limiter = config["processors"]["memory_limiter"]
    assert limiter["limit_mib"] + limiter["spike_limit_mib"] < container["memory"], limiter
    return int(port)


def senders_meet_it(deployment, senders, port):
    for name in ("agent", "cache"):
        # Beside it: what they do without being told.
        assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in senders[name] and documented_port() == port, (name, port)
    service = deployment.one("aws_service_discovery_service", "agents")
    namespace = deployment.one("aws_service_discovery_private_dns_namespace")
    endpoint = senders["function"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert endpoint == f"http://{service['name']}.{namespace['name']}:{port}", endpoint
    ways = [
        deployment.one("aws_vpc_security_group_ingress_rule", "spans"),
        deployment.one("aws_vpc_security_group_egress_rule", "spans"),
    ]
    assert all((way["from_port"], way["to_port"]) == (port, port) for way in ways), ways
    for name, settings in senders.items():
        # Who is not told how many would record every request.
        assert settings["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio", name
        assert 0 < float(settings["OTEL_TRACES_SAMPLER_ARG"]) <= 1, name


def documented_port():
    text = (ROOT / "docs/LOGGING.md").read_text(encoding="utf-8")
    return int(re.search(r"`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` \| `http://localhost:(\d+)`", text)[1])


def fits_its_task(deployment, containers):
    """The agent has no limit of its own: it gets what the others leave, which is 1 GiB at least."""
    task = int(deployment.all("aws_ecs_task_definition", "agent")[0]["memory"])
    others = sum(container.get("memory", 0) for container in containers.values())
    assert task - others >= 1024, f"{others} of {task} MB are the sidecars'"
