resource "aws_cloudwatch_metric_alarm" "connections" {
  alarm_name        = "${var.name}-postgres-connections"
  alarm_description = "Postgres runs out of connections: raise database.max_connections, which wants a reboot (infra/README.md, Scale), or lower agents.pool_size or function_concurrency."

  namespace           = "AWS/RDS"
  metric_name         = "DatabaseConnections"
  dimensions          = local.metric_dimensions
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = floor(0.9 * var.database.max_connections)
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "load" {
  alarm_name        = "${var.name}-postgres-load"
  alarm_description = "Postgres is at its limit: raise database.max_acu, or take a larger instance_class, which restarts it. Commits become slow, then late."

  namespace           = "AWS/RDS"
  metric_name         = local.aurora ? "ACUUtilization" : "CPUUtilization"
  dimensions          = local.metric_dimensions
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 90
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

# Aurora's storage has no end to run into.
resource "aws_cloudwatch_metric_alarm" "storage" {
  count = local.aurora ? 0 : 1

  alarm_name        = "${var.name}-postgres-storage"
  alarm_description = "Postgres has grown to five times database.storage_gib, where we stop it: raise it before writes fail."

  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = local.metric_dimensions
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  # Bytes. RDS enlarges the storage at a tenth left, so less than 1 GiB means that it may not any more.
  threshold          = 1073741824
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_actions
  ok_actions         = var.alarm_actions
}
