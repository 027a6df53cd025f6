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
  # To a queue the function gives back the messages that it cannot deal with now, so such an invocation is no error to Lambda. Its own
  # counter has those (docs/metrics.md); Errors has the sweeps that fail, one a minute and Lambda's repetitions of them.
  function_alarms = {
    function-retries = {
      namespace   = local.metrics_namespace
      metric      = "yaks_materializer_objects_total"
      dimensions  = { result = "retry" }
      threshold   = 0
      description = "Objects cannot be committed and are tried again and again: Postgres or S3 cannot be reached. Agents commit their own meanwhile."
    }
    function-errors = {
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = aws_lambda_function.this.function_name }
      threshold   = 0
      description = "Invocations fail, sweeps at least: most likely Postgres cannot be reached, or its schema is another version's."
    }
    function-throttles = {
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = aws_lambda_function.this.function_name }
      threshold   = 5
      description = "The account's or the function's concurrency is used up. Events wait."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = local.function_alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.description

  namespace   = each.value.namespace
  metric_name = each.value.metric
  dimensions  = each.value.dimensions
  statistic   = "Sum"
  period      = 60
  # A message comes back after a minute, and so does the sweep: some minutes have none.
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "no_sweep" {
  alarm_name        = "${var.name}-no-sweep"
  alarm_description = "No sweep was started for five minutes, although one is due every minute: is the schedule disabled?"

  # The scheduler's own count: the function's has the events too, and under traffic would never be missing.
  namespace           = "AWS/Scheduler"
  metric_name         = "InvocationAttemptCount"
  dimensions          = { ScheduleGroup = aws_scheduler_schedule_group.sweep.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
