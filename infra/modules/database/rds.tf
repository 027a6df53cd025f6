resource "aws_db_parameter_group" "this" {
  count = local.aurora ? 0 : 1

  name   = var.name
  family = "postgres${local.major}"

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name         = parameter.key
      value        = parameter.value.value
      apply_method = parameter.value.apply
    }
  }
}

resource "aws_db_instance" "this" {
  count = local.aurora ? 0 : 1

  identifier                          = var.name
  engine                              = "postgres"
  engine_version                      = local.major
  instance_class                      = var.database.instance_class
  db_name                             = local.database_name
  username                            = local.user
  password_wo                         = local.password
  password_wo_version                 = var.password_version
  iam_database_authentication_enabled = true
  db_subnet_group_name                = aws_db_subnet_group.this.name
  vpc_security_group_ids              = [var.security_group_id]
  parameter_group_name                = aws_db_parameter_group.this[0].name

  # Else a larger instance_class, which postgres-load asks for, would wait up to a week for the maintenance window. It is a restart:
  # agents take records meanwhile, and acks=all waits.
  apply_immediately = true

  multi_az                        = var.database.standby
  storage_type                    = "gp3"
  allocated_storage               = var.database.storage_gib
  max_allocated_storage           = var.database.storage_gib * 5
  storage_encrypted               = true
  backup_retention_period         = 7
  copy_tags_to_snapshot           = true
  enabled_cloudwatch_logs_exports = ["postgresql"]
  deletion_protection             = var.protect
  skip_final_snapshot             = !var.protect
  final_snapshot_identifier       = var.protect ? "${var.name}-final" : null

  depends_on = [aws_cloudwatch_log_group.postgres]
}
