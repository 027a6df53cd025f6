variable "name" { type = string }
variable "zip" { type = string }
variable "architecture" { type = string }

variable "bucket" {
  type = object({
    id    = string
    arn   = string
    slots = string
    # A directory bucket: access is to all of it.
    express = bool
  })
}

variable "environment" {
  description = "Settings that all programs share."
  type        = map(string)
}

variable "database_user" {
  description = "The role that it signs in as, with IAM."
  type = object({
    name = string
    arn  = string
  })
}

variable "dead_letter_queue_url" {
  description = "Where it sends poison."
  type        = string
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
