output "id" { value = aws_s3_directory_bucket.this.bucket }
output "arn" { value = local.arn }

output "slots" {
  description = "Prefix of the slots."
  value       = local.slots
}

output "express" { value = true }
