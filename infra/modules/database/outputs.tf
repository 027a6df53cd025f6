output "id" { value = local.id }

output "connection" {
  description = "How programs reach it."
  value = {
    host            = local.host
    port            = 5432
    name            = local.database_name
    max_connections = var.database.max_connections
  }
}

output "users" {
  description = "Who signs in: the owner with the secret, and, with IAM, the roles that the migrations make. `arn` is what rds-db:connect is about."
  value = {
    owner = local.user
    roles = {
      for program, user in { agent = "yaks_agent", function = "yaks_materializer" } : program => {
        name                       = user
        arn                        = "arn:aws:rds-db:${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}:dbuser:${local.resource_id}/${user}"
      }
    }
  }
}

output "secret" {
  description = "Where the migrations' task gets the owner's password."
  value = {
    arn     = aws_secretsmanager_secret.this.arn
    version = aws_secretsmanager_secret_version.this.version_id
  }
}

output "metric_dimensions" { value = local.metric_dimensions }
