#!/usr/bin/env bash
# Deploys the function on LocalStack's Lambda: the zip, the queue as its event source, and the sweep every minute. Runs in LocalStack's
# container after resources.sh, which made the queue; the compose file gives it the variables of the function.
set -euo pipefail

export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_PAGER=
# Said to every command, as in resources.sh.
aws() { command aws --endpoint-url "${AWS_ENDPOINT_URL:-http://127.0.0.1:4566}" "$@"; }

name=yaks-materializer
account=000000000000
zip=${YAKS_FUNCTION_ZIP:-/var/lib/yaks/materializer.zip}

if aws lambda get-function --function-name "$name" >/dev/null 2>&1; then
    exit 0
fi
case $(uname -m) in
aarch64) architecture=arm64 ;;
*) architecture=x86_64 ;;
esac

# What infra/modules/materializer sets, and where things are in the compose file's network.
aws lambda create-function --function-name "$name" --runtime provided.al2023 --handler bootstrap \
    --architectures "$architecture" --role "arn:aws:iam::$account:role/$name" --zip-file "fileb://$zip" \
    --timeout 10 --memory-size 256 --environment "Variables={\
YAKS_S3_ENDPOINT=http://localstack:4566,YAKS_S3_BUCKET=${YAKS_S3_BUCKET:-test-bucket},\
YAKS_DEAD_LETTER_QUEUE_URL=http://localstack:4566/$account/yaks-events-dead,\
YAKS_DB_HOST=postgres,YAKS_DB_USER=testuser,YAKS_DB_PASSWORD=testpassword,YAKS_DB_NAME=testdb}" >/dev/null
aws lambda wait function-active-v2 --function-name "$name"

aws lambda create-event-source-mapping --function-name "$name" --batch-size 10 \
    --event-source-arn "arn:aws:sqs:us-east-1:$account:yaks-events" \
    --function-response-types ReportBatchItemFailures >/dev/null

aws events put-rule --name yaks-sweep --schedule-expression 'rate(1 minute)' >/dev/null
aws lambda add-permission --function-name "$name" --statement-id sweep --action lambda:InvokeFunction \
    --principal events.amazonaws.com --source-arn "arn:aws:events:us-east-1:$account:rule/yaks-sweep" >/dev/null
aws events put-targets --rule yaks-sweep --targets "$(cat <<JSON
[{"Id": "sweep", "Arn": "arn:aws:lambda:us-east-1:$account:function:$name", "Input": "{\"yaks\": \"sweep/1\"}"}]
JSON
)" >/dev/null
echo "$name reads yaks-events, and sweeps every minute"
