output "id" { value = aws_s3_bucket.this.id }
output "arn" { value = aws_s3_bucket.this.arn }

output "slots" {
  description = "Prefix of the slots: the filter of events."
  value       = local.slots
}

output "express" {
  description = "Whether it is a directory bucket."
  value       = false
}
