# infra/test evaluates recorded calls against these: none is denied, and no statement is there without a call.

data "aws_iam_policy_document" "tasks_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

# --- what agent and sidecar may ---

resource "aws_iam_role" "task" {
  name               = "${var.name}-agent"
  assume_role_policy = data.aws_iam_policy_document.tasks_trust.json
}

data "aws_iam_policy_document" "task" {
  dynamic "statement" {
    for_each = var.bucket.express ? [] : [1]

    content {
      sid = "Slots"
      # No DeleteObject: that is for the sweep alone.
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["${var.bucket.arn}/${var.bucket.slots}*"]
    }
  }

  dynamic "statement" {
    for_each = var.bucket.express ? [] : [1]

    content {
      sid = "ListBucket"
      # Asked for at the start, to see that the bucket is there. Without it a slot that is free would answer 403, which is not "free":
      # 404 has to be seen.
      actions   = ["s3:ListBucket"]
      resources = [var.bucket.arn]
    }
  }

  dynamic "statement" {
    for_each = var.bucket.express ? [1] : []

    content {
      sid       = "Session"
      actions   = ["s3express:CreateSession"]
      resources = [var.bucket.arn]
    }
  }

  statement {
    sid       = "Database"
    actions   = ["rds-db:connect"]
    resources = [var.database_users.roles.agent.arn]
  }

  dynamic "statement" {
    for_each = var.commit_path == "invoke" ? [1] : []

    content {
      sid       = "Commit"
      actions   = ["lambda:InvokeFunction"]
      resources = [var.function.arn]
    }
  }

  dynamic "statement" {
    for_each = var.collector_image == null ? [] : [1]

    content {
      sid = "Traces"
      # The collector's. Has no resource to be narrowed to.
      actions   = ["xray:PutTraceSegments"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role_policy" "task" {
  name   = "agent"
  role   = aws_iam_role.task.name
  policy = data.aws_iam_policy_document.task.json
}

# --- what ECS needs to start a task; programs do not have it ---

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks_trust.json
}

locals {
  # <account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag> or @<digest>; an image from elsewhere needs no permission.
  repositories = toset([
    for image in compact([var.agent_image, var.cache_image, var.collector_image]) :
    "arn:aws:ecr:${split(".", image)[3]}:${split(".", image)[0]}:repository/${regex("^[^/]+/([^:@]+)", image)[0]}"
    if can(regex("^[0-9]{12}\\.dkr\\.ecr\\.", image))
  ])
}

data "aws_iam_policy_document" "execution" {
  dynamic "statement" {
    for_each = length(local.repositories) > 0 ? [1] : []

    content {
      sid       = "Images"
      actions   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = local.repositories
    }
  }

  dynamic "statement" {
    for_each = length(local.repositories) > 0 ? [1] : []

    content {
      sid = "SignInToEcr"
      # Has no resource to be narrowed to.
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*"]
  }

  statement {
    sid       = "DatabasePassword"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.secret.arn]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.name
  policy = data.aws_iam_policy_document.execution.json
}
