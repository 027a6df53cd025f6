# The bucket. What keeps data safe is that a slot is decided once: its key is written once and never becomes free again. Hence no
# versioning, no expiry, and a policy that refuses a PUT without its condition.

locals {
  slots = "data/"
}

resource "aws_s3_bucket" "this" {
  # A prefix: bucket names are unique in all of AWS.
  bucket_prefix = "${var.name}-"
  force_destroy = !var.protect
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      # Not KMS: a call of KMS per PUT and GET costs more than the requests themselves.
      sse_algorithm = "AES256"
    }
  }
}

# With versions, a deleted slot's bytes would be paid for as long as the bucket lives. "Disabled" is what a new bucket has; written
# down, a plan shows when somebody turns it on.
resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Disabled"
  }
}

# Nothing ever expires: under data/ it would free a slot's key. The agents send objects in one piece; what is cleaned up here is
# what people leave behind.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "SlotsAreWrittenOnce"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.slots}*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    # True when the request has no If-None-Match. The upload of a part has none either, so uploads in parts are refused too: nobody
    # here sends any.
    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }
  }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]

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
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.this.json

  # S3 takes one change of a bucket at a time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
