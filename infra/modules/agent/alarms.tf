locals {
  metrics_namespace = "yaks/${var.name}"

  # What the programs say in their logs. infra/test looks for these words in the sources.
  log_alarms = {
    lease-lost = {
      group       = "agent"
      pattern     = "{ $.message = \"lease lost: another agent took our node id\" }"
      description = "An agent lost its lease: it, or Postgres, stood still for longer than five seconds. It takes another by itself; often means too little CPU."
    }
    agent-error-lines = {
      group       = "agent"
      pattern     = "{ $.level = \"ERROR\" }"
      description = "Agents log errors: each says what a person has to do."
    }
    cache-error-lines = {
      group       = "cache"
      pattern     = "{ $.level = \"ERROR\" }"
      description = "Sidecars log errors. Agents read S3 meanwhile."
    }
    migrate-error-lines = {
      group       = "migrate"
      pattern     = "{ $.level = \"ERROR\" }"
      description = "The migrations failed. Agents of the new version wait for them; do not go on with an upgrade."
    }
  }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.log_alarms

  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.this[each.value.group].name
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

resource "aws_cloudwatch_metric_alarm" "no_agent" {
  for_each = var.subnets

  alarm_name        = "${var.name}-no-agent-${each.key}"
  alarm_description = "No agent is ready in this zone: its clients have nobody. /readyz and the agent's log say why."

  namespace           = "AWS/NetworkELB"
  metric_name         = "HealthyHostCount"
  dimensions          = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.kafka.arn_suffix, AvailabilityZone = each.key }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
