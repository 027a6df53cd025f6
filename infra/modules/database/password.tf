# The password. RDS would manage one by itself, and change it every week: programs that read it once, at their start, would be locked
# out. This one changes when password_version does, and the agents' tasks with it.

resource "aws_secretsmanager_secret" "this" {
  name_prefix = "${var.name}-postgres-"
  # Else a new secret of this name could not be made for a month.
  recovery_window_in_days = var.protect ? 30 : 0
}

ephemeral "aws_secretsmanager_random_password" "this" {
  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id                = aws_secretsmanager_secret.this.id
  secret_string_wo         = jsonencode({ username = local.user, password = ephemeral.aws_secretsmanager_random_password.this.random_password })
  secret_string_wo_version = var.password_version
}

# Read back rather than taken from above: the ephemeral one is another in every run, also in the one after a run that failed half-way.
data "aws_secretsmanager_secret_version" "this" {
  secret_id  = aws_secretsmanager_secret.this.id
  version_id = aws_secretsmanager_secret_version.this.version_id
}

locals {
  password = jsondecode(data.aws_secretsmanager_secret_version.this.secret_string).password
}
