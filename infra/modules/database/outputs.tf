output "id" { value = local.id }

output "connection" {
  description = "How programs reach it."
  value = {
    host            = local.host
    port            = 5432
    name            = local.database_name
    user            = local.user
    max_connections = var.database.max_connections
  }
}

output "password" {
  description = "For the function, whose environment is the only way in until it signs in with IAM."
  value       = local.password
  sensitive   = true
}

output "secret" {
  description = "Where the agents' tasks get it. The version is part of it, so that a new password is a new task."
  value = {
    arn     = aws_secretsmanager_secret.this.arn
    version = aws_secretsmanager_secret_version.this.version_id
  }
}

output "metric_dimensions" { value = local.metric_dimensions }
