# event_source = "eventbridge": S3 -> EventBridge -> the same queue.

resource "aws_cloudwatch_event_rule" "created" {
  count = var.event_source == "eventbridge" ? 1 : 0

  name        = "${var.name}-created"
  description = "New slots of yaks"

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [var.bucket.id] }
      object = { key = [{ prefix = var.bucket.slots }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  count = var.event_source == "eventbridge" ? 1 : 0

  rule = aws_cloudwatch_event_rule.created[0].name
  arn  = aws_sqs_queue.events[0].arn
}
