output "function" {
  value = {
    name = aws_lambda_function.this.function_name
    arn  = aws_lambda_function.this.arn
    role = aws_iam_role.function.name
  }
}

output "log_group" { value = aws_cloudwatch_log_group.this.name }
