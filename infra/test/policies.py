"""Holds the calls of a run against the policies as Terraform rendered them: none is denied, no statement is without a call, and what
should be refused is.

Two kinds of calls: those that aws.py recorded from the real programs, and those that AWS itself makes with our roles (calls_of_aws.json,
from AWS's documentation: nobody can record them here)."""

import json
from pathlib import Path

from deployment import settings_of
from policy import allowed, statements

TLS = {"aws:SecureTransport": "true"}


def recorded_calls(calls_file, roles):
    """(role kind, action, key or None, context) of every call that was made with a role's credentials."""
    kinds = {credentials["AccessKeyId"]: kind for kind, credentials in roles.items()}
    calls = set()
    for line in Path(calls_file).read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        if call["access_key"] in kinds:
            action, key = action_of(call)
            calls.add((kinds[call["access_key"]], action, key, call["if_none_match"]))
    return calls


def action_of(call):
    """The IAM action of an HTTP request, and the object it is about."""
    if call["service"] == "s3":
        key = call["path"].strip("/").partition("/")[2]
        if not key:
            assert call["method"] == "GET" and "list-type=2" in call["query"], call
            return "s3:ListBucket", None
        action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
        return action[call["method"]], key
    if call["service"] == "sqs":
        return "sqs:" + call["target"].split(".")[1], None
    if call["service"] == "lambda" and call["path"].endswith("/invocations"):
        return "lambda:InvokeFunction", None
    raise ValueError(f"no IAM action is known for {call}")


class Policies:
    """All statements of a deployment: of its roles, and of what has a policy of its own."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.roles = {}
        for role in deployment.all("aws_iam_role"):
            documents = deployment.role_policies(role["name"])
            self.roles[role["name"]] = [s for name, text in documents.items() for s in statements(f"{role['name']}/{name}", text)]
        policy = json.loads(deployment.one("aws_s3_bucket_policy")["policy"])
        self.bucket = statements("bucket", policy)
        self.queue = [s for p in deployment.all("aws_sqs_queue_policy") for s in statements("queue", json.loads(p["policy"]))]

    def name_of(self, kind):
        return self.deployment.one("aws_iam_role", kind)["name"]

    def allows(self, kind, action, resource, context=None):
        """Within one account: no Deny on either side, and an Allow of the role."""
        call = (action, resource, {**TLS, **(context or {})})
        on_resource = self.bucket if action.startswith(("s3:", "s3express:")) else []
        return allowed(call, self.roles[self.name_of(kind)], on_resource)

    def queue_takes(self, service, context):
        """A service has no role here: the queue's own policy has to let it in."""
        call = ("sqs:SendMessage", self.arn("queue"), context)
        decided = [s for s in self.queue if s.principal == {"Service": service} and s.decides(call)]
        return bool(decided)

    def arn(self, what):
        one = self.deployment.one
        return {
            "bucket": self.bucket_arn,
            "queue": lambda: one("aws_sqs_queue", "events")["arn"],
            "dead_letters": lambda: one("aws_sqs_queue", "dead_letters")["arn"],
            "function": lambda: self.deployment.function()["arn"],
            "agent_database_user": lambda: self.database_user("yaks_agent"),
            "function_database_user": lambda: self.database_user("yaks_materializer"),
            "secret": lambda: one("aws_secretsmanager_secret")["arn"],
            "function_log": lambda: self.log("/aws/lambda/"),
            "agent_log": lambda: self.log("/yaks/", "/agent"),
            "cache_log": lambda: self.log("/yaks/", "/cache"),
            "migrate_log": lambda: self.log("/yaks/", "/migrate"),
            "collector_log": lambda: self.log("/yaks/", "/collector"),
            "agent_repository": lambda: self.repository("agent"),
            "cache_repository": lambda: self.repository("cache"),
            "collector_repository": lambda: self.repository("collector"),
            "*": lambda: "*",
        }[what]()

    def bucket_arn(self):
        if not is_express(self.deployment):
            return self.deployment.bucket()["arn"]
        # A plan does not have it.
        _, _, _, region, account = self.arn("function").split(":")[:5]
        return f"arn:aws:s3express:{region}:{account}:bucket/{self.deployment.one('aws_s3_directory_bucket')['bucket']}"

    def database_user(self, user):
        clusters = self.deployment.all("aws_rds_cluster")
        database = clusters[0]["cluster_resource_id"] if clusters else self.deployment.one("aws_db_instance")["resource_id"]
        _, _, _, region, account = self.arn("function").split(":")[:5]
        return f"arn:aws:rds-db:{region}:{account}:dbuser:{database}/{user}"

    def log(self, start, end=""):
        groups = self.deployment.all("aws_cloudwatch_log_group")
        found = [g["arn"] for g in groups if g["name"].startswith(start) and g["name"].endswith(end)]
        assert len(found) == 1, f"{len(found)} log groups {start}...{end}"
        return found[0] + ":log-stream:x"

    def repository(self, container):
        host, _, name = self.deployment.containers("agent")[container]["image"].partition("/")
        account, _, _, region = host.split(".")[:4]
        return f"arn:aws:ecr:{region}:{account}:repository/{name.partition(':')[0]}"

    def everything(self):
        return [s for of_role in self.roles.values() for s in of_role] + self.bucket + self.queue

    def unused(self, denying):
        return [left for statement in self.everything() if statement.denies == denying for left in statement.unused()]


def calls_of_aws(deployment):
    """Those that this variant of a deployment makes AWS make."""
    text = (Path(__file__).parent / "calls_of_aws.json").read_text(encoding="utf-8")
    direct = bool(deployment.all("aws_lambda_function_event_invoke_config"))
    queue = bool(deployment.all("aws_sqs_queue", "events"))
    when = {"always": True, "queue": queue, "direct": direct, **collector(deployment)}
    return [call for call in json.loads(text)["calls"] if when[call.get("when", "always")]]


def is_express(deployment):
    return bool(deployment.all("aws_s3_directory_bucket"))


def as_sessions(deployment, recorded):
    """The recorded calls, as a directory bucket would see them: the SDK asks it for a session first and sends everything in that
    (crates/storage/tests/directory_bucket.rs)."""
    if not is_express(deployment):
        return recorded
    session = ("s3express:CreateSession", None, None)
    return {(kind, *session) if action.startswith("s3:") else (kind, action, *rest) for kind, action, *rest in recorded}


def invokes(deployment):
    """Whether agents invoke the function."""
    return settings_of(deployment.containers("agent")["agent"])["YAKS_COMMIT_PATH"] == "invoke"


def collector(deployment):
    """Whether there is one, and whether ECS has it from a private repository."""
    image = deployment.containers("agent").get("collector", {}).get("image", "")
    return {"collector": image != "", "collector in ECR": ".dkr.ecr." in image}


def check(deployment, recorded):
    policies = Policies(deployment)
    bucket = policies.arn("bucket")
    denied = []
    for kind, action, key, if_none_match in sorted(as_sessions(deployment, recorded), key=str):
        queue = "dead_letters" if action == "sqs:SendMessage" else "queue"
        if queue == "queue" and action.startswith("sqs:") and not deployment.all("aws_sqs_queue", "events"):
            continue
        resource = f"{bucket}/{key}" if key else bucket if action.startswith("s3") else policies.arn(queue)
        context = {"s3:if-none-match": if_none_match} if if_none_match else {}
        if not policies.allows(kind, action, resource, context):
            denied.append((kind, action, resource))
    for call in calls_of_aws(deployment):
        for resource in call["resources"]:
            if not policies.allows(call["role"], call["action"], policies.arn(resource)):
                denied.append((call["role"], call["action"], resource))
    if invokes(deployment):
        # agent/src/produce/invoke.rs; not recorded: moto cannot answer for the function.
        if not policies.allows("task", "lambda:InvokeFunction", policies.arn("function")):
            denied.append(("task", "lambda:InvokeFunction", "function"))
    assert not denied, f"denied: {denied}"
    if policies.queue:
        queue_is_for_our_events_alone(policies)
    # What allows is used by the calls above, what denies by those below.
    unused = policies.unused(denying=False)
    refusals(policies, bucket)
    unused += policies.unused(denying=True)
    assert not unused, f"never needed: {unused}"
    print(
        f"  {len(recorded)} recorded calls and {len(calls_of_aws(deployment))} of AWS's own: none denied; "
        f"{len(policies.everything())} statements: none unused"
    )


def refused_by_bucket(policies, bucket):
    """To programs and to whoever has no business with it, each beside its like that is allowed."""
    slot, elsewhere = f"{bucket}/data/v1/00/stream/0", f"{bucket}/elsewhere"
    conditional = {"s3:if-none-match": "*"}
    assert policies.allows("task", "s3:PutObject", slot, conditional)
    return [
        ("task", "s3:PutObject", slot, {}),
        ("function", "s3:PutObject", slot, {}),
        ("task", "sqs:SendMessage", policies.arn("dead_letters"), {}),
        ("task", "s3:PutObject", elsewhere, conditional),
        ("task", "s3:PutObject", slot, {**conditional, "aws:SecureTransport": "false"}),
        ("task", "s3:GetObject", slot, {"aws:SecureTransport": "false"}),
        ("task", "s3:DeleteObject", slot, {}),
        ("task", "s3:PutBucketPolicy", bucket, {}),
        ("execution", "s3:GetObject", slot, {}),
    ]


def refused_by_directory_bucket(policies, bucket):
    """A session is for all of it; who may have none may do nothing."""
    session = "s3express:CreateSession"
    assert policies.allows("task", session, bucket) and policies.allows("function", session, bucket)
    return [
        ("task", session, bucket, {"aws:SecureTransport": "false"}),
        ("task", session, bucket + "-other", {}),
        ("task", "s3express:PutBucketPolicy", bucket, {}),
        ("task", "s3express:DeleteBucket", bucket, {}),
        ("execution", session, bucket, {}),
    ]


def refusals(policies, bucket):
    """What must not be allowed."""
    of_bucket = refused_by_directory_bucket if is_express(policies.deployment) else refused_by_bucket
    refused = of_bucket(policies, bucket) + [
        ("task", "secretsmanager:GetSecretValue", policies.arn("secret"), {}),
        ("task", "rds-db:connect", policies.arn("function_database_user"), {}),
        ("function", "rds-db:connect", policies.arn("agent_database_user"), {}),
        ("execution", "xray:PutTraceSegments", "*", {}),
        ("function", "xray:PutTraceSegments", "*", {}),
        ("function", "ec2:CreateNetworkInterface", "*", {"lambda:SourceFunctionArn": policies.arn("function")}),
        ("schedule", "lambda:InvokeFunction", policies.arn("function") + "-other", {}),
    ]
    for call in refused:
        assert not policies.allows(*call), f"allowed: {call}"


def queue_is_for_our_events_alone(policies):
    rules = policies.deployment.all("aws_cloudwatch_event_rule", "created")
    service = "events.amazonaws.com" if rules else "s3.amazonaws.com"
    ours = {"aws:SourceArn": rules[0]["arn"] if rules else policies.arn("bucket"), "aws:SourceAccount": "123456789012"}
    assert policies.queue_takes(service, ours)
    assert not policies.queue_takes(service, {**ours, "aws:SourceArn": "arn:aws:s3:::somebody-elses"})
    assert not policies.queue_takes(service, {**ours, "aws:SourceAccount": "210987654321"})
