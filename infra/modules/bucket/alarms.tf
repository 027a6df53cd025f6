resource "aws_s3_bucket_metric" "slots" {
  bucket = aws_s3_bucket.this.id
  name   = "slots"

  filter {
    prefix = local.slots
  }
}

resource "aws_cloudwatch_metric_alarm" "s3_errors" {
  alarm_name        = "${var.name}-s3-5xx"
  alarm_description = "S3 answers with 5xx. Agents repeat what failed; producers are slowed."

  namespace           = "AWS/S3"
  metric_name         = "5xxErrors"
  dimensions          = { BucketName = aws_s3_bucket.this.id, FilterId = aws_s3_bucket_metric.slots.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
