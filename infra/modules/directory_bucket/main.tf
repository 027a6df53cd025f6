# storage_class = "express": a directory bucket, in the agents' zone. It sends no events, and access to it is given as a whole, by sessions:
# no policy can let agents write and not delete, or refuse a PUT without its condition. What our programs send is conditional all the same.

data "aws_region" "this" {}

data "aws_caller_identity" "this" {}

locals {
  slots = "data/"
  # Unique in its zone. AWS wants the end.
  bucket = "${var.name}-${data.aws_caller_identity.this.account_id}--${var.zone_id}--x-s3"
}

resource "aws_s3_directory_bucket" "this" {
  bucket        = local.bucket
  force_destroy = !var.protect

  location {
    name = var.zone_id
    type = "AvailabilityZone"
  }
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3express:*"]
    resources = [local.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_directory_bucket.this.bucket
  policy = data.aws_iam_policy_document.this.json
}

locals {
  # Put together rather than asked for, so that a plan shows the policies.
  arn = "arn:aws:s3express:${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}:bucket/${local.bucket}"
}
