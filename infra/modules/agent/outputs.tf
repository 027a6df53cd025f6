output "cluster" { value = aws_ecs_cluster.this.name }

output "bootstrap_servers" {
  description = "Zone id => bootstrap server of that zone."
  value       = { for zone, host in local.zone_names : var.zone_ids[zone] => "${host}:${local.kafka_port}" }
}

output "scrape_name" {
  description = "DNS name with the addresses of the agents, eight at most; metrics are on port 9090."
  value       = "${aws_service_discovery_service.agents.name}.${aws_service_discovery_private_dns_namespace.this.name}"
}

output "otlp_endpoint" {
  description = "Where the function sends its spans: the collector of some agent."
  value       = "http://${aws_service_discovery_service.agents.name}.${aws_service_discovery_private_dns_namespace.this.name}:${local.otlp_port}"
}

output "migrate_task" {
  # Without a revision: ECS takes the newest, also after an apply that targets nothing but this task, which leaves outputs as they are.
  description = "Task definition that brings the schema up to date."
  value       = aws_ecs_task_definition.migrate.family
}

output "migrate_log_group" { value = aws_cloudwatch_log_group.this["migrate"].name }
output "load_balancer_suffix" { value = aws_lb.this.arn_suffix }
output "services" { value = [for service in aws_ecs_service.this : service.name] }
