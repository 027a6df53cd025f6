# What CloudWatch knows by itself. The agents' own metrics are Prometheus's (output prometheus_target).

locals {
  widgets = merge({
    "Bytes in, per agent" = [for service in module.agent.services : ["ECS/ContainerInsights", "NetworkRxBytes", "ClusterName", module.agent.cluster, "ServiceName", service]]
    "CPU of agents, %"    = [for service in module.agent.services : ["AWS/ECS", "CPUUtilization", "ClusterName", module.agent.cluster, "ServiceName", service]]
    "Events waiting" = concat(
      module.events.queue_name == "" ? [] : [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", module.events.queue_name]],
      [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", module.events.dead_letters_name]],
    )
    "Function, invocations and errors" = [for metric in ["Invocations", "Errors", "Throttles"] : ["AWS/Lambda", metric, "FunctionName", module.materializer.function.name]]
    "Function, duration in ms"         = [["AWS/Lambda", "Duration", "FunctionName", module.materializer.function.name]]
    "Postgres, connections"            = [concat(["AWS/RDS", "DatabaseConnections"], flatten([for name, value in module.database.metric_dimensions : [name, value]]))]
    "Connections of clients"           = [["AWS/NetworkELB", "ActiveFlowCount", "LoadBalancer", module.agent.load_balancer_suffix]]
    }, local.express ? {} : {
    "S3 requests" = [for metric in ["PutRequests", "GetRequests", "5xxErrors"] : ["AWS/S3", metric, "BucketName", local.bucket.id, "FilterId", "slots"]]
  })
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      for n, title in sort(keys(local.widgets)) : {
        type   = "metric"
        x      = 12 * (n % 2)
        y      = 6 * floor(n / 2)
        width  = 12
        height = 6
        properties = {
          title   = title
          region  = data.aws_region.this.name
          period  = 60
          stat    = contains(["Events waiting", "Postgres, connections"], title) ? "Maximum" : startswith(title, "Function, inv") || title == "S3 requests" ? "Sum" : "Average"
          metrics = local.widgets[title]
        }
      }
    ]
  })
}
