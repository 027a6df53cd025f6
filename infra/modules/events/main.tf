# How the function hears of a new object. Whatever happens here costs time, never data: an agent commits what stays uncommitted, and
# the sweep does it for agents that are gone.

locals {
  queued = contains(["sqs", "eventbridge"], var.event_source)
}

# --- the dead-letter queue: what failed for so long that a person should look ---

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-events-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

# The function sends poison there itself. With event_source = "s3" Lambda, too, gives up events in its name.
data "aws_iam_policy_document" "give_up" {
  statement {
    sid       = "DeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]
  }
}

resource "aws_iam_role_policy" "give_up" {
  name   = "give-up-events"
  role   = var.function.role
  policy = data.aws_iam_policy_document.give_up.json
}

# --- S3 -> queue -> function ---

resource "aws_sqs_queue" "events" {
  count = local.queued ? 1 : 0

  name                      = "${var.name}-events"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true

  # Where agents commit first, an event is for a slot whose agent has died. One that came at once would find the slot uncommitted, and
  # have the function read its object. Longer than agents wait before they commit a slot themselves (YAKS_COMMIT_STALL_MS, 2 s).
  delay_seconds = var.commit_path == "event" ? 0 : 5

  # Six times the function's timeout, as Lambda wants it. A message that failed comes back after this.
  visibility_timeout_seconds = 6 * var.function_timeout_s

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    # 100 minutes: an outage of Postgres that is shorter does not fill the dead-letter queue.
    maxReceiveCount = 100
  })
}

data "aws_caller_identity" "this" {}

data "aws_iam_policy_document" "queue" {
  count = local.queued ? 1 : 0

  statement {
    sid       = "Events"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events[0].arn]

    principals {
      type        = "Service"
      identifiers = [var.event_source == "sqs" ? "s3.amazonaws.com" : "events.amazonaws.com"]
    }

    # Anybody's bucket could send otherwise.
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [var.event_source == "sqs" ? var.bucket.arn : aws_cloudwatch_event_rule.created[0].arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

resource "aws_sqs_queue_policy" "events" {
  count = local.queued ? 1 : 0

  queue_url = aws_sqs_queue.events[0].id
  policy    = data.aws_iam_policy_document.queue[0].json
}

resource "aws_lambda_event_source_mapping" "queue" {
  count = local.queued ? 1 : 0

  event_source_arn = aws_sqs_queue.events[0].arn
  function_name    = var.function.arn
  batch_size       = 10
  # Only messages that may succeed later come back, not their neighbours.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.function_concurrency
  }

  depends_on = [aws_iam_role_policy.consume]
}

data "aws_iam_policy_document" "consume" {
  count = local.queued ? 1 : 0

  statement {
    sid       = "Queue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.events[0].arn]
  }
}

# Lambda reads the queue on the function's behalf, with the function's role.
resource "aws_iam_role_policy" "consume" {
  count = local.queued ? 1 : 0

  name   = "consume-events"
  role   = var.function.role
  policy = data.aws_iam_policy_document.consume[0].json
}

# --- what S3 tells, and whom ---

resource "aws_s3_bucket_notification" "this" {
  # A directory bucket tells nobody.
  count = var.event_source == "none" ? 0 : 1

  bucket      = var.bucket.id
  eventbridge = var.event_source == "eventbridge"

  dynamic "queue" {
    for_each = var.event_source == "sqs" ? [1] : []

    content {
      queue_arn     = aws_sqs_queue.events[0].arn
      events        = ["s3:ObjectCreated:*"]
      filter_prefix = var.bucket.slots
    }
  }

  dynamic "lambda_function" {
    for_each = var.event_source == "s3" ? [1] : []

    content {
      lambda_function_arn = var.function.arn
      events              = ["s3:ObjectCreated:*"]
      filter_prefix       = var.bucket.slots
    }
  }

  # S3 tries the way out when it is set.
  depends_on = [aws_sqs_queue_policy.events, aws_lambda_permission.s3]
}
