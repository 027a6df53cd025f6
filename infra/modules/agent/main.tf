# The brokers: one ECS service per zone, so that a zone has its own number of agents and its own address.

data "aws_region" "this" {}

locals {
  kafka_port = 9092
  admin_port = 9090
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  # Bytes per task, for the autoscaling.
  setting {
    name  = "containerInsights"
    value = "enabled"
  }

  # Made before Insights would make it, and deleted after it has ended.
  depends_on = [aws_cloudwatch_log_group.insights]
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = toset(concat(["agent", "cache", "migrate"], var.collector_image == null ? [] : ["collector"]))

  name              = "/yaks/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
}

# Container Insights would make it without an end.
resource "aws_cloudwatch_log_group" "insights" {
  name              = "/aws/ecs/containerinsights/${var.name}/performance"
  retention_in_days = 1
}

resource "aws_ecs_service" "this" {
  for_each = var.subnets

  name            = "${var.name}-${each.key}"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.agent[each.key].arn
  launch_type     = "FARGATE"
  desired_count   = var.agents.min
  propagate_tags  = "SERVICE"

  # New agents beside the old ones, which go when the new ones are ready: an upgrade that does not come up changes nothing. No circuit
  # breaker: tasks of a new version do not come up before its migrations have run, and are to be tried until they have.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60

  network_configuration {
    subnets         = [each.value]
    security_groups = [var.security_groups.agent]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.kafka.arn
    container_name   = "agent"
    container_port   = local.kafka_port
  }

  service_registries {
    registry_arn = aws_service_discovery_service.agents.arn
  }

  # The autoscaling's.
  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [
    aws_lb_listener.kafka,
    aws_iam_role_policy.task,
    aws_iam_role_policy.execution,
  ]
}
