"""Has every AWS API that is called from the private subnets a way there, has every way a caller, and does infra/README.md have both?"""

import re
from pathlib import Path

import policies

README = Path(__file__).resolve().parents[1] / "README.md"

# Who calls from the subnets. Lambda, which reads the queue as the function, and the scheduler are outside.
INSIDE = ("task", "execution")

# Service of an action => gateway endpoints that serve it.
GATEWAYS = {"s3": ["s3"], "s3express": ["s3express"]}
# ... => interface endpoints, which a NAT gateway can stand in for.
INTERFACES = {
    "ecr": ["ecr.api", "ecr.dkr"],
    "lambda": ["lambda"],
    "logs": ["logs"],
    "secretsmanager": ["secretsmanager"],
    "xray": ["xray"],
}
# A token is signed by the caller itself.
NO_CALL = {"rds-db"}


def check(deployment, recorded):
    services = called(deployment, recorded)
    gateways, interfaces = endpoints(deployment, "Gateway"), endpoints(deployment, "Interface")
    # Image layers come from S3, whatever the bucket is.
    wanted = {name for service in services | {"s3"} for name in GATEWAYS.get(service, [])}
    assert gateways == wanted, f"gateway endpoints are {sorted(gateways)}, should be {sorted(wanted)}"
    wanted = {name for service in services for name in INTERFACES.get(service, [])}
    if deployment.all("aws_nat_gateway"):
        assert not interfaces, f"behind a NAT gateway {sorted(interfaces)} are paid for and not needed"
    else:
        ours = {name for names in INTERFACES.values() for name in names} & interfaces
        assert ours == wanted, f"interface endpoints are {sorted(ours)}, should be {sorted(wanted)}"
    documented = set(re.findall(r"`([a-z.]+)`", table()))
    assert wanted <= documented, f"infra/README.md, ways to AWS APIs: no row has {sorted(wanted - documented)}"
    how = "a NAT gateway" if deployment.all("aws_nat_gateway") else f"endpoints {sorted(interfaces)}"
    print(f"  {sorted(services)} are called from private subnets: by {how}, and {sorted(gateways)} by gateways")


def called(deployment, recorded):
    actions = {action for kind, action, *_ in policies.as_sessions(deployment, recorded) if kind in INSIDE}
    actions |= {call["action"] for call in policies.calls_of_aws(deployment) if call["role"] in INSIDE}
    if policies.invokes(deployment):
        actions.add("lambda:InvokeFunction")
    services = {action.split(":")[0] for action in actions} - NO_CALL
    unknown = services - set(GATEWAYS) - set(INTERFACES)
    assert not unknown, f"no way is known to {sorted(unknown)}"
    return services


def endpoints(deployment, kind):
    """`ecr.api` of com.amazonaws.us-east-1.ecr.api."""
    return {e["service_name"].split(".", 3)[3] for e in deployment.all("aws_vpc_endpoint") if e["vpc_endpoint_type"] == kind}


def table():
    return README.read_text(encoding="utf-8").split("## Ways to AWS APIs")[1].split("\n## ")[0]
