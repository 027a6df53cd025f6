"""What this version of moto gets wrong, or takes and forgets, so that a second plan would see a change where AWS has none. Each function fills
one gap; drop it when moto has closed it."""

import json
import uuid
from urllib.parse import parse_qs

import moto.s3.notifications

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.awslambda.models import LambdaFunction
from moto.ec2.models.managed_prefixes import ManagedPrefixListBackend
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.iam.access_control import PermissionResult
from moto.rds.models import DBCluster, DBClusterParameterGroup, DBInstance, DBParameterGroup
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.sqs.models import Queue

from policy import statements


def fill(request):
    """`request.if_none_match` is the header of the request that this thread is serving."""
    conditions_of_bucket_policies(request)
    whole_s3_events()
    eventbridge_in_notifications()
    new_architectures_of_functions()
    tags_of_scalable_targets()
    settings_of_ecs_services()
    descriptions_of_rules_without_addresses()
    prefix_list_of_s3_express()
    sources_of_parameters()
    ids_of_db_instances()
    no_old_scaling_of_clusters()
    compact_redrive_policies()


def conditions_of_bucket_policies(request):
    """moto takes a condition that does not hold for a denial. Bucket policies are evaluated by policy.py instead: a PUT without its
    If-None-Match is refused to whoever sends it. (As if TLS were there: here it is not.)"""

    def get_permission(self, action, resource):
        context = {"aws:SecureTransport": "true"}
        if request.if_none_match:
            context["s3:if-none-match"] = request.if_none_match
        document = json.loads(self.policy) if self.policy else {"Statement": []}
        denied = any(s.denies and s.decides((action, resource, context)) for s in statements("bucket", document))
        return PermissionResult.DENIED if denied else PermissionResult.NEUTRAL

    FakeBucket.get_permission = get_permission


def whole_s3_events():
    """With the fields that S3 always sends, and that the function's type insists on."""
    make = moto.s3.notifications._get_s3_event

    def event(*arguments):
        made = make(*arguments)
        for record in made["Records"]:
            record["userIdentity"] = {"principalId": "AWS:AROAEXAMPLE:infra-test"}
            record["requestParameters"] = {"sourceIPAddress": "127.0.0.1"}
            record["responseElements"] = {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "example"}
            record["s3"]["bucket"]["ownerIdentity"] = {"principalId": "A3NL1KOZZKExample"}
            record["s3"]["object"]["sequencer"] = "0055AED6DCD90281E5"
        return made

    moto.s3.notifications._get_s3_event = event


def eventbridge_in_notifications():
    """Whether a bucket tells EventBridge, when it is asked."""
    get = S3Response.get_bucket_notification

    def get_bucket_notification(self):
        serialized = self.serialized

        def with_eventbridge(answer):
            notification = self.backend.get_bucket_notification_configuration(self.bucket_name)
            if notification and notification.event_bridge is not None:
                answer.result["EventBridgeConfiguration"] = {}
            return serialized(answer)

        self.serialized = with_eventbridge
        return get(self)

    S3Response.get_bucket_notification = get_bucket_notification


def new_architectures_of_functions():
    """New code may be for another processor."""
    update = LambdaFunction.update_function_code

    def update_function_code(self, updated):
        if updated.get("Architectures"):
            self.architectures = updated["Architectures"]
        return update(self, updated)

    LambdaFunction.update_function_code = update_function_code


def tags_of_scalable_targets():
    tags = {}
    register = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(self):
        answer = register(self)
        tags.setdefault(json.loads(answer)["ScalableTargetARN"], {}).update(self._get_param("Tags") or {})
        return answer

    def list_tags_for_resource(self):
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    ApplicationAutoScalingResponse.register_scalable_target = register_scalable_target
    ApplicationAutoScalingResponse.list_tags_for_resource = list_tags_for_resource


def settings_of_ecs_services():
    """The grace period of the health check, and whether tasks are moved between zones."""
    create = EC2ContainerServiceResponse.create_service

    def create_service(self):
        answer = create(self)
        service = answer.result["service"]
        service.health_check_grace_period_seconds = self._get_param("healthCheckGracePeriodSeconds")
        service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing") or "DISABLED"
        return answer

    EC2ContainerServiceResponse.create_service = create_service


def descriptions_of_rules_without_addresses():
    """Rules that name another group or a prefix list have a description too."""
    create = SecurityGroupRule.__init__

    def __init__(self, *arguments, **named):
        create(self, *arguments, **named)
        self.prefix_list = named.get("prefix_list_id") or next(
            (value for value in arguments if isinstance(value, dict) and "PrefixListId" in value), {}
        )

    def description(self):
        return next((of["Description"] for of in (self.ip_range, self.source_group, self.prefix_list) if "Description" in of), None)

    SecurityGroupRule.__init__ = __init__
    SecurityGroupRule.description = property(description)


def prefix_list_of_s3_express():
    """Every region has one, as it has that of S3."""
    create = ManagedPrefixListBackend.create_default_pls

    def create_default_pls(self):
        create(self)
        self._create_aws_managed_prefix_list(f"com.amazonaws.{self.region_name}.s3express", "IPv4", [{"Cidr": "192.0.2.0/24"}])

    ManagedPrefixListBackend.create_default_pls = create_default_pls


def sources_of_parameters():
    """A parameter that was set says so; the provider leaves others out."""
    for group, method in ((DBParameterGroup, "update_parameters"), (DBClusterParameterGroup, "update_cluster_parameters")):
        set_parameters = getattr(group, method)

        def update(self, parameters, set_parameters=set_parameters):
            set_parameters(self, [{**parameter, "Source": "user"} for parameter in parameters])

        setattr(group, method, update)


def ids_of_db_instances():
    """Each has one of its own; the provider asks by it."""
    create = DBInstance.__init__

    def __init__(self, *arguments, **named):
        create(self, *arguments, **named)
        self.dbi_resource_id = f"db-{uuid.uuid4().hex[:26].upper()}"

    DBInstance.__init__ = __init__


def no_old_scaling_of_clusters():
    """What Serverless v1 had, only for clusters that have it."""
    configuration = DBCluster.scaling_configuration_info.fget
    DBCluster.scaling_configuration_info = property(lambda self: configuration(self) if self.scaling_configuration else None)


def compact_redrive_policies():
    """As AWS writes them. The provider compares text."""
    attributes = Queue.attributes.fget

    def compacted(self):
        result = attributes(self)
        if result.get("RedrivePolicy"):
            result["RedrivePolicy"] = json.dumps(json.loads(result["RedrivePolicy"]), separators=(",", ":"))
        return result

    Queue.attributes = property(compacted)


class BucketMetrics:
    """Metrics configurations of buckets, in front of moto, which takes their requests for requests of the bucket itself: it would delete
    that."""

    def __init__(self, app):
        self.app = app
        self.stored = {}

    def __call__(self, environ, start_response):
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if "metrics" not in query or "id" not in query or "/s3/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
            return self.app(environ, start_response)
        status, body = self.answer(environ, (environ["PATH_INFO"].strip("/"), query["id"][0]))
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    def answer(self, environ, which):
        method = environ["REQUEST_METHOD"]
        if method == "PUT":
            self.stored[which] = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return "200 OK", b""
        if which not in self.stored:
            return "404 Not Found", b"<Error><Code>NoSuchConfiguration</Code><Message>there is none</Message></Error>"
        if method == "DELETE":
            del self.stored[which]
            return "204 No Content", b""
        return "200 OK", self.stored[which]
