# event_source = "s3": S3 -> function. Lambda keeps such an event for six hours and repeats a failure twice, a minute and two later.

resource "aws_lambda_permission" "s3" {
  count = var.event_source == "s3" ? 1 : 0

  statement_id   = "s3"
  action         = "lambda:InvokeFunction"
  function_name  = var.function.name
  principal      = "s3.amazonaws.com"
  source_arn     = var.bucket.arn
  source_account = data.aws_caller_identity.this.account_id
}

resource "aws_lambda_function_event_invoke_config" "direct" {
  count = var.event_source == "s3" ? 1 : 0

  function_name          = var.function.name
  maximum_retry_attempts = 2

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }

  depends_on = [aws_iam_role_policy.give_up]
}
