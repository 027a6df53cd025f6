# More agents when they are busy. Fewer again, slowly: each change moves clients.

locals {
  # What an agent takes in at its ease, in bytes per second and vCPU; the CPU policy sees everything else.
  rx_bytes_target = 60 * 1024 * 1024 * var.agents.cpu / 1024
}

resource "aws_appautoscaling_target" "agents" {
  for_each = aws_ecs_service.this

  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${each.value.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.agents.min
  max_capacity       = var.agents.max
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each = aws_appautoscaling_target.agents

  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  resource_id        = each.value.resource_id
  scalable_dimension = each.value.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_in_cooldown  = 600
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "bytes" {
  for_each = aws_appautoscaling_target.agents

  name               = "bytes"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  resource_id        = each.value.resource_id
  scalable_dimension = each.value.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = local.rx_bytes_target
    scale_in_cooldown  = 600
    scale_out_cooldown = 60

    customized_metric_specification {
      namespace   = "ECS/ContainerInsights"
      metric_name = "NetworkRxBytes"
      statistic   = "Average"
      unit        = "Bytes/Second"

      dimensions {
        name  = "ClusterName"
        value = aws_ecs_cluster.this.name
      }

      dimensions {
        name  = "ServiceName"
        value = aws_ecs_service.this[each.key].name
      }
    }
  }
}
