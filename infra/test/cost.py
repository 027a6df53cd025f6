"""What a deployment costs in a month in which nobody uses it, counted from what was deployed. Requests, bytes and storage come on top."""

import json
from pathlib import Path

INFRA = Path(__file__).resolve().parents[1]
PRICES = json.loads((INFRA / "prices.json").read_text(encoding="utf-8"))
HOURS = PRICES["hours_per_month"]

# Container Insights: about so many metrics per service, and as many for the cluster.
INSIGHTS_METRICS = 10
SWEEPS_PER_MONTH = 60 * HOURS
SWEEP_SECONDS = 0.1


def monthly(deployment):
    """What => dollars."""
    return {
        "agents (Fargate)": agents(deployment),
        "Postgres": postgres(deployment),
        "ways to AWS APIs": egress(deployment),
        "load balancer": HOURS * PRICES["nlb_hour"] * len(deployment.all("aws_lb")),
        "Container Insights": (len(deployment.all("aws_ecs_service")) + 1) * INSIGHTS_METRICS * PRICES["custom_metric_month"],
        "alarms and dashboard": observation(deployment),
        "sweep (Lambda)": sweep(deployment),
        "secret, private DNS": PRICES["secret_month"] + PRICES["private_dns_zone_month"],
    }


def agents(deployment):
    total = 0.0
    for task in deployment.all("aws_ecs_task_definition", "agent"):
        kind = "arm" if task["runtime_platform"][0]["cpu_architecture"] == "ARM64" else "x86"
        disk = task["ephemeral_storage"][0]["size_in_gib"] - 20
        hour = int(task["cpu"]) / 1024 * PRICES[f"fargate_{kind}_vcpu_hour"]
        hour += int(task["memory"]) / 1024 * PRICES[f"fargate_{kind}_gb_hour"]
        hour += disk * PRICES["fargate_disk_gb_hour_above_20"]
        total += HOURS * hour
    return total * deployment.all("aws_appautoscaling_target")[0]["min_capacity"]


def postgres(deployment):
    total = 0.0
    for cluster in deployment.all("aws_rds_cluster"):
        acus = cluster["serverlessv2_scaling_configuration"][0]["min_capacity"]
        total += len(deployment.all("aws_rds_cluster_instance")) * acus * HOURS * PRICES["aurora_acu_hour"]
    for instance in deployment.all("aws_db_instance"):
        one = HOURS * PRICES["rds_hour"][instance["instance_class"]] + instance["allocated_storage"] * PRICES["rds_gp3_gb_month"]
        total += one * (2 if instance["multi_az"] else 1)
    return total


def egress(deployment):
    endpoints = [e for e in deployment.all("aws_vpc_endpoint") if e["vpc_endpoint_type"] == "Interface"]
    hourly = sum(len(e["subnet_ids"]) for e in endpoints) * PRICES["interface_endpoint_zone_hour"]
    hourly += len(deployment.all("aws_nat_gateway")) * (PRICES["nat_gateway_hour"] + PRICES["public_ipv4_hour"])
    return HOURS * hourly


def observation(deployment):
    filters = len(deployment.all("aws_cloudwatch_log_metric_filter"))
    alarms = len(deployment.all("aws_cloudwatch_metric_alarm"))
    return alarms * PRICES["alarm_month"] + filters * PRICES["custom_metric_month"] + PRICES["dashboard_month"]


def sweep(deployment):
    function = deployment.function()
    kind = "arm" if function["architectures"] == ["arm64"] else "x86"
    gb_seconds = SWEEPS_PER_MONTH * SWEEP_SECONDS * function["memory_size"] / 1024
    return gb_seconds * PRICES[f"lambda_{kind}_gb_second"] + SWEEPS_PER_MONTH / 1e6 * PRICES["lambda_million_requests"]


def check(deployment, profile):
    """README.md has a column for each profile, and says the same."""
    costs = {**monthly(deployment)}
    costs["**together, idle**"] = sum(costs.values())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table_lines()]
    column = rows[0].index(f"`{profile}`")
    written = {row[0]: row[column] for row in rows[2:]}
    counted = {what: f"{dollars:.2f}" for what, dollars in costs.items()}
    check_collector()
    check_express()
    assert written == counted, f"infra/README.md, costs of {profile}: it says {written}, it should say {counted}"
    print(f"  idle, {profile}: ${costs['**together, idle**']:.2f} a month, as infra/README.md says")


def check_collector():
    """What README.md says of a collector, which neither profile has."""
    endpoint = f"${HOURS * PRICES['interface_endpoint_zone_hour']:.2f} in each zone"
    traces = f"${PRICES['xray_million_traces']:.2f} for a million traces"
    assert f"a collector's endpoint {endpoint}, and X-Ray {traces}" in readme(), f"infra/README.md: {endpoint}, {traces}"


def check_express():
    month, puts, gb = (PRICES[f"s3_express_{of}"] for of in ("gb_month", "thousand_puts", "gb_put"))
    said = f"S3 Express ${month}, and ${puts} for a thousand PUTs with ${gb} for each GB of them"
    assert said in readme(), f"infra/README.md: {said}"


def readme():
    return (INFRA / "README.md").read_text(encoding="utf-8")


def table_lines():
    text = readme()
    table = text.split("<!-- costs:begin -->\n")[1].split("<!-- costs:end -->")[0]
    return table.strip().splitlines()
