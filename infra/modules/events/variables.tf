variable "name" { type = string }
variable "event_source" { type = string }
variable "commit_path" { type = string }

variable "bucket" {
  type = object({
    id    = string
    arn   = string
    slots = string
  })
}

variable "function" {
  type = object({
    name = string
    arn  = string
    role = string
  })
}

variable "function_timeout_s" { type = number }

variable "function_concurrency" { type = number }
variable "alarm_actions" { type = list(string) }
