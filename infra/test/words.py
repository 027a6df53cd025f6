"""Words that Terraform and the programs must have in common, and that no compiler compares: names of settings, log lines, and counters."""

import re
from pathlib import Path

from deployment import settings_of

ROOT = Path(__file__).resolve().parents[2]


def documented_settings(program):
    """The table that README.md has of a program; a test there keeps it equal to the code."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split(f"<!-- settings:{program}:begin -->")[1].split(f"<!-- settings:{program}:end -->")[0]
    own = set(re.findall(r"^\| `(YAKS_\w+)`", table, re.MULTILINE))
    # A command of the agent: it has the agent's settings and some more.
    return own | documented_settings("agent") if program == "migrate" else own


def rendered_settings(deployment):
    agent, migrate = deployment.containers("agent"), deployment.containers("migrate")["migrate"]
    secrets = {secret["name"] for secret in migrate["secrets"]}
    return {
        "agent": ours(settings_of(agent["agent"])),
        "migrate": secrets | ours(settings_of(migrate)),
        "cache": ours(settings_of(agent["cache"])),
        "materializer": ours(deployment.function_settings()),
    }


def ours(names):
    """Without AWS's own variables."""
    return {name for name in names if name.startswith("YAKS_")}


def check_settings(deployment):
    """A misspelt variable is one that a program never reads."""
    for program, names in rendered_settings(deployment).items():
        unknown = names - documented_settings(program)
        assert not unknown, f"{program} has no settings {sorted(unknown)}"
        print(f"  {program}: {len(names)} settings, all of them known")


def check_delay(deployment):
    """An event that overtakes an agent's own commit costs a GET; one that is late costs time, where it commits first."""
    path = settings_of(deployment.containers("agent")["agent"])["YAKS_COMMIT_PATH"]
    for queue in deployment.all("aws_sqs_queue", "events"):
        waits = queue["delay_seconds"] > 0
        assert waits == (path != "event"), f"{queue['name']}: {queue['delay_seconds']} s with commit_path = {path}"
        print(f"  {queue['name']}: events wait {queue['delay_seconds']} s with commit_path = {path}")


def check_log_alarms(deployment):
    """A log line that was reworded would silence its alarm."""
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("agent/src", "cache-sidecar/src", "materializer-fn/src")
        for path in (ROOT / folder).rglob("*.rs")
    )
    for metric_filter in deployment.all("aws_cloudwatch_log_metric_filter"):
        for words in re.findall(r'\$\.message = "([^"]+)"', metric_filter["pattern"]):
            assert f'"{words}"' in sources, f"{metric_filter['name']}: nobody logs {words!r}"
            print(f"  {metric_filter['name']}: {words!r} is in the sources")


def check_counter_alarms(deployment):
    """So would a counter of the function that was renamed, or that is counted elsewhere."""
    namespace = deployment.function_settings()["YAKS_EMF_NAMESPACE"]
    of_logs = {m["metric_transformation"][0]["name"] for m in deployment.all("aws_cloudwatch_log_metric_filter")}
    alarms = [alarm for alarm in deployment.all("aws_cloudwatch_metric_alarm") if alarm["namespace"].startswith("yaks/")]
    rows = documented_counters()
    for alarm in alarms:
        assert alarm["namespace"] == namespace, f"{alarm['alarm_name']}: the function counts in {namespace}"
        name, labels = alarm["metric_name"], alarm["dimensions"] or {}
        if name in of_logs:
            continue
        assert name in rows, f"{alarm['alarm_name']}: the function does not count {name}"
        for label, value in labels.items():
            assert f"`{label}`:" in rows[name] and f"`{value}`" in rows[name], f"{alarm['alarm_name']}: no {name} with {label}={value}"
        print(f"  {alarm['alarm_name']}: {name} {labels} is counted by the function")


def documented_counters():
    """Name => line of the function's counters in docs/metrics.md, which a test there keeps equal to the code."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = text.split("<!-- metrics:function:begin -->")[1].split("<!-- metrics:function:end -->")[0]
    return {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `") and "| counter |" in line}
