resource "aws_rds_cluster_parameter_group" "this" {
  count = local.aurora ? 1 : 0

  name   = var.name
  family = "aurora-postgresql${local.major}"

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name         = parameter.key
      value        = parameter.value.value
      apply_method = parameter.value.apply
    }
  }
}

resource "aws_rds_cluster" "this" {
  count = local.aurora ? 1 : 0

  cluster_identifier                  = var.name
  engine                              = "aurora-postgresql"
  engine_version                      = local.major
  database_name                       = local.database_name
  master_username                     = local.user
  master_password_wo                  = local.password
  master_password_wo_version          = var.password_version
  iam_database_authentication_enabled = true
  db_subnet_group_name                = aws_db_subnet_group.this.name
  vpc_security_group_ids              = [var.security_group_id]
  db_cluster_parameter_group_name     = aws_rds_cluster_parameter_group.this[0].name

  storage_encrypted               = true
  backup_retention_period         = 7
  copy_tags_to_snapshot           = true
  enabled_cloudwatch_logs_exports = ["postgresql"]
  deletion_protection             = var.protect
  skip_final_snapshot             = !var.protect
  final_snapshot_identifier       = var.protect ? "${var.name}-final" : null

  # A higher max_acu is wanted now, and costs no restart.
  apply_immediately = true

  serverlessv2_scaling_configuration {
    min_capacity = var.database.min_acu
    max_capacity = var.database.max_acu
  }

  depends_on = [aws_cloudwatch_log_group.postgres]
}

resource "aws_rds_cluster_instance" "this" {
  count = local.aurora ? (var.database.standby ? 2 : 1) : 0

  identifier         = "${var.name}-${count.index}"
  cluster_identifier = aws_rds_cluster.this[0].id
  engine             = aws_rds_cluster.this[0].engine
  engine_version     = aws_rds_cluster.this[0].engine_version
  instance_class     = "db.serverless"
  # Both equally ready to be the writer: a tier above 1 would let the standby shrink below what the writer needs.
  promotion_tier             = 1
  auto_minor_version_upgrade = true
}
