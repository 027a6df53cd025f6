# The function that gives every batch its offset, and the schedule on which it looks after agents that are gone.

data "aws_region" "this" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}-materializer"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "this" {
  function_name    = "${var.name}-materializer"
  description      = "yaks: gives every batch its offset"
  role             = aws_iam_role.function.arn
  filename         = var.zip
  source_code_hash = filebase64sha256(var.zip)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture == "arm64" ? "arm64" : "x86_64"]
  timeout          = var.timeout_s
  # It waits for others most of the time; more memory would only bring more CPU.
  memory_size                    = 256
  reserved_concurrent_executions = var.reserved_concurrency

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [var.security_group_id]
  }

  environment {
    variables = merge(var.environment, {
      # Nothing means AWS and its credential chain. (Lambda keeps empty values; ECS drops them.)
      YAKS_S3_ENDPOINT   = ""
      YAKS_S3_ACCESS_KEY = ""
      YAKS_S3_SECRET_KEY = ""
      YAKS_DB_USER       = var.database_user.name
      YAKS_DB_AUTH       = "iam"
      # In the zip (infra/dist/zip.sh).
      YAKS_DB_SSLROOTCERT = "/var/task/rds-global-bundle.pem"
      YAKS_DB_POOL_SIZE   = "2"

      YAKS_DEAD_LETTER_QUEUE_URL = var.dead_letter_queue_url
      YAKS_EMF_NAMESPACE         = local.metrics_namespace
    })
  }

  depends_on = [
    aws_cloudwatch_log_group.this,
    aws_iam_role_policy.function,
  ]
}

# --- the sweep ---

# Of its own, because the scheduler counts by group.
resource "aws_scheduler_schedule_group" "sweep" {
  name = "${var.name}-sweep"
}

resource "aws_scheduler_schedule" "sweep" {
  name                = "${var.name}-sweep"
  group_name          = aws_scheduler_schedule_group.sweep.name
  description         = "Commits what dead agents left, ends their streams, clears orphans"
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.this.arn
    role_arn = aws_iam_role.schedule.arn
    input    = jsonencode({ yaks = "sweep/1" })

    # The next one is a minute away.
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 60
    }
  }
}
