# The tables' owner's password. Only the migrations sign in with it: they make the roles of agents and function, which sign in with IAM.
# It changes when password_version does.

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

# Read back rather than taken from above: that one is another in every run, also in the one after a run that failed half-way. Ephemeral, so
# that it is not in the state.
ephemeral "aws_secretsmanager_secret_version" "this" {
  secret_id  = aws_secretsmanager_secret.this.id
  version_id = aws_secretsmanager_secret_version.this.version_id
}

locals {
  password = jsondecode(ephemeral.aws_secretsmanager_secret_version.this.secret_string).password
}
