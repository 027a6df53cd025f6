variable "name" { type = string }
variable "zip" { type = string }
variable "architecture" { type = string }

variable "bucket" {
  type = object({
    id    = string
    arn   = string
    slots = string
  })
}

variable "environment" {
  description = "Settings that all programs share."
  type        = map(string)
}

variable "password" {
  type      = string
  sensitive = true
}

variable "timeout_s" { type = number }
variable "subnet_ids" { type = list(string) }
variable "security_group_id" { type = string }

variable "reserved_concurrency" {
  description = "Most invocations at once, whoever invokes; -1: what the account has."
  type        = number
}

variable "log_retention_days" { type = number }
variable "alarm_actions" { type = list(string) }
