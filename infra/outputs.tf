output "bootstrap_servers" {
  description = "For bootstrap.servers, by zone id. Give a client its own zone's first."
  value       = module.agent.bootstrap_servers
}

output "bucket" {
  value = local.bucket.id
}

output "event_queue_url" {
  description = "Empty with event_source = s3."
  value       = module.events.queue_url
}

output "dead_letter_queue_url" {
  value = module.events.dead_letters_url
}

output "database_secret_arn" {
  value = module.database.secret.arn
}

output "alarm_topic_arn" {
  description = "Subscribe whatever should hear of alarms."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_url" {
  value = "https://console.aws.amazon.com/cloudwatch/home?region=${data.aws_region.this.name}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "prometheus_target" {
  description = "A DNS name with the address of every agent (dns_sd_configs, type A, port 9090). Scrapers are let in by scrape_cidrs."
  value       = module.agent.scrape_name
}

output "migrate_command" {
  description = "Brings the database schema up to this version. Agents of a new version start once it has run."
  value = join(" ", [
    "aws ecs run-task --region ${data.aws_region.this.name} --cluster ${module.agent.cluster} --launch-type FARGATE",
    "--task-definition ${module.agent.migrate_task}",
    "--network-configuration 'awsvpcConfiguration={subnets=[${join(",", values(module.network.agent_subnets))}],securityGroups=[${module.network.security_groups.agent}]}'",
  ])
}
