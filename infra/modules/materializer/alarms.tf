locals {
  metrics_namespace = "yaks/${var.name}"

  # What the function says in its log when a person has to act. infra/test looks for these words in the sources.
  log_alarms = {
    function-error-lines = {
      pattern     = "{ $.level = \"ERROR\" }"
      description = "The function logs errors: each says what a person has to do."
    }
    poison = {
      pattern     = "{ $.message = \"poison: an event that makes no sense\" }"
      description = "What is no event of S3 reaches the function: who sends it? It is in the dead-letter queue."
    }
  }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.log_alarms

  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metrics_namespace
    name      = each.key
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "log" {
  for_each = local.log_alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.description

  namespace           = local.metrics_namespace
  metric_name         = each.key
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions

  depends_on = [aws_cloudwatch_log_metric_filter.this]
}

locals {
  function_alarms = {
    function-errors    = { metric = "Errors", threshold = 5, description = "Invocations fail: most likely Postgres cannot be reached. Events wait in the queue." }
    function-throttles = { metric = "Throttles", threshold = 5, description = "The account's or the function's concurrency is used up. Events wait." }
  }
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = local.function_alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.description

  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "no_sweep" {
  alarm_name        = "${var.name}-no-sweep"
  alarm_description = "The function was not invoked for five minutes, although the sweep is due every minute: is the schedule disabled?"

  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
