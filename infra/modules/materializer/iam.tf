# infra/test evaluates recorded calls against these: none is denied, and no statement is there without a call.

data "aws_iam_policy_document" "lambda_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name               = "${var.name}-materializer"
  assume_role_policy = data.aws_iam_policy_document.lambda_trust.json
}

locals {
  network_interface_actions = [
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ]
}

data "aws_iam_policy_document" "function" {
  dynamic "statement" {
    for_each = var.bucket.express ? [] : [1]

    content {
      sid = "Slots"
      # Reads footers, puts tombstones, deletes orphans after their grace period.
      actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      resources = ["${var.bucket.arn}/${var.bucket.slots}*"]
    }
  }

  dynamic "statement" {
    for_each = var.bucket.express ? [] : [1]

    content {
      sid = "ListBucket"
      # Searches ended streams. Without it a slot that is free would answer 403, which is not "free": 404 has to be seen.
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
    resources = [var.database_user.arn]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    sid = "NetworkInterfaces"
    # Lambda itself, with this role, puts the function into the VPC. These have no resource to be narrowed to.
    actions   = local.network_interface_actions
    resources = ["*"]
  }

  statement {
    sid    = "NotFromTheFunction"
    effect = "Deny"
    # The same role is the function's at run time, and it needs none of that.
    actions   = local.network_interface_actions
    resources = ["*"]

    # Set on calls that the function's code makes, and on no others.
    condition {
      test     = "Null"
      variable = "lambda:SourceFunctionArn"
      values   = ["false"]
    }
  }
}

resource "aws_iam_role_policy" "function" {
  name   = "materializer"
  role   = aws_iam_role.function.name
  policy = data.aws_iam_policy_document.function.json
}

data "aws_caller_identity" "this" {}

data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

resource "aws_iam_role" "schedule" {
  name               = "${var.name}-sweep"
  assume_role_policy = data.aws_iam_policy_document.scheduler_trust.json
}

data "aws_iam_policy_document" "schedule" {
  statement {
    sid       = "Sweep"
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_function.this.arn]
  }
}

resource "aws_iam_role_policy" "schedule" {
  name   = "sweep"
  role   = aws_iam_role.schedule.name
  policy = data.aws_iam_policy_document.schedule.json
}
