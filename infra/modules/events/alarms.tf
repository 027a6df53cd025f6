# The oldest event that was not dealt with: how long an object waits for its offsets, unless an agent commits it meanwhile. SQS leaves out
# messages that were received three times or more. How many messages there are would not tell, since under traffic there always are some.
# So this alarm is for events that nobody takes; function-retries, beside the function, is for those that come again and again.
resource "aws_cloudwatch_metric_alarm" "unsequenced" {
  count = var.event_source == "none" ? 0 : 1

  alarm_name        = "${var.name}-unsequenced"
  alarm_description = "Events wait for the function: is it throttled, or are its commits slow? Agents commit their own objects meanwhile."

  namespace           = local.queued ? "AWS/SQS" : "AWS/Lambda"
  metric_name         = local.queued ? "ApproximateAgeOfOldestMessage" : "AsyncEventAge"
  dimensions          = local.queued ? { QueueName = aws_sqs_queue.events[0].name } : { FunctionName = var.function.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  # Seconds for a queue, milliseconds for a function.
  threshold          = local.queued ? 120 : 120000
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_actions
  ok_actions         = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name        = "${var.name}-dead-letters"
  alarm_description = "Events were given up, or are poison: each says which (infra/README.md). Find out why before you purge the queue."

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
