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
  description = "A DNS name with the addresses of the agents (dns_sd_configs, type A, port 9090), of eight at most: with more, ask Cloud Map (infra/README.md). Scrapers are let in by scrape_cidrs."
  value       = module.agent.scrape_name
}

locals {
  ecs = "--region ${data.aws_region.this.name} --cluster ${module.agent.cluster}"
}

output "migrate_command" {
  description = "Brings the database schema up to this version, waits for the end, and fails if that failed. Agents of a new version start once it has run."
  # In a process of its own, so that it leaves nothing in the shell that evaluates it.
  value = <<-EOT
    (
      task=$(aws ecs run-task ${local.ecs} --launch-type FARGATE --task-definition ${module.agent.migrate_task} \
        --network-configuration 'awsvpcConfiguration={subnets=[${join(",", values(module.network.agent_subnets))}],securityGroups=[${module.network.security_groups.agent}]}' \
        --query 'tasks[0].taskArn' --output text) || exit 1
      [ "$task" != None ] || { echo 'migrate: ECS started no task' >&2; exit 1; }
      aws ecs wait tasks-stopped ${local.ecs} --tasks "$task" || exit 1
      ended=$(aws ecs describe-tasks ${local.ecs} --tasks "$task" --query 'tasks[0].[containers[0].exitCode,stoppedReason]' --output text) || exit 1
      echo "migrate: exit code and reason: $ended (log group ${module.agent.migrate_log_group})"
      [ "$${ended%%[!0-9]*}" = 0 ]
    )
  EOT
}
