# Postgres, as Aurora Serverless v2 or as one RDS instance. What both have in common is here.

locals {
  aurora        = var.database.engine == "aurora"
  major         = "16"
  database_name = "yaks"
  user          = "yaks"

  # fsync and synchronous_commit stay as they are, which is on.
  parameters = {
    # RDS has it at 1 to begin with, as "pending-reboot", and takes no change of the way alone: every plan would show one. Aurora has 0.
    "rds.force_ssl" = { value = "1", apply = local.aurora ? "immediate" : "pending-reboot" }
    # Postgres takes it when it starts, and Terraform starts nothing anew (infra/README.md, Scale).
    "max_connections"                     = { value = tostring(var.database.max_connections), apply = "pending-reboot" }
    "idle_in_transaction_session_timeout" = { value = "60000", apply = "immediate" }
  }

  host              = local.aurora ? aws_rds_cluster.this[0].endpoint : aws_db_instance.this[0].address
  resource_id       = local.aurora ? aws_rds_cluster.this[0].cluster_resource_id : aws_db_instance.this[0].resource_id
  id                = local.aurora ? aws_rds_cluster.this[0].cluster_identifier : aws_db_instance.this[0].identifier
  metric_dimensions = local.aurora ? { DBClusterIdentifier = local.id } : { DBInstanceIdentifier = local.id }
}

data "aws_region" "this" {}

data "aws_caller_identity" "this" {}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

# Postgres's own log goes to CloudWatch; made here, because AWS would make it without an end.
resource "aws_cloudwatch_log_group" "postgres" {
  name              = local.aurora ? "/aws/rds/cluster/${var.name}/postgresql" : "/aws/rds/instance/${var.name}/postgresql"
  retention_in_days = var.log_retention_days
}
