#!/usr/bin/env bash
# Makes on LocalStack what infra/ makes on AWS: the bucket, the event queue with its dead-letter queue, and S3's notification between
# them. May run again: what is there stays. In LocalStack's container it is run when LocalStack is ready.
#
#   AWS_ENDPOINT_URL  where LocalStack is (default http://127.0.0.1:4566)
#   YAKS_S3_BUCKET    the bucket (default test-bucket)
set -euo pipefail

export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_PAGER=
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
# Said to every command: the AWS CLI's SQS does not heed the variable.
aws() { command aws --endpoint-url "${AWS_ENDPOINT_URL:-http://127.0.0.1:4566}" "$@"; }

bucket=${YAKS_S3_BUCKET:-test-bucket}
queue=yaks-events
dead_letters=yaks-events-dead
arn=arn:aws:sqs:us-east-1:000000000000

aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1 || aws s3api create-bucket --bucket "$bucket" >/dev/null

aws sqs create-queue --queue-name "$dead_letters" --attributes MessageRetentionPeriod=1209600 >/dev/null
# The numbers of infra/modules/events.
aws sqs create-queue --queue-name "$queue" --attributes "$(cat <<JSON
{
  "VisibilityTimeout": "60",
  "MessageRetentionPeriod": "1209600",
  "RedrivePolicy": "{\"deadLetterTargetArn\":\"$arn:$dead_letters\",\"maxReceiveCount\":\"100\"}"
}
JSON
)" >/dev/null

aws s3api put-bucket-notification-configuration --bucket "$bucket" --notification-configuration "$(cat <<JSON
{
  "QueueConfigurations": [{
    "QueueArn": "$arn:$queue",
    "Events": ["s3:ObjectCreated:*"],
    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "data/"}]}}
  }]
}
JSON
)"
echo "$bucket tells $queue of new objects under data/"
