variable "name" { type = string }
variable "agent_image" { type = string }
variable "cache_image" { type = string }
variable "architecture" { type = string }

variable "collector_image" {
  description = "Of the collector beside each agent; null: none."
  type        = string
}

variable "agents" {
  type = object({
    min             = number
    max             = number
    cpu             = number
    memory_mb       = number
    cache_memory_mb = number
    cache_disk_gib  = number
    pool_size       = number
  })
}

variable "environment" {
  description = "Settings that all programs share."
  type        = map(string)
}

variable "tracing" {
  description = "Settings of programs that send spans to the collector; empty without one."
  type        = map(string)
}

variable "database_users" {
  description = "The owner of the tables, and the roles that sign in with IAM."
  type = object({
    owner = string
    roles = map(object({
      name = string
      arn  = string
    }))
  })
}

variable "secret" {
  description = "Where the owner's password is."
  type = object({
    arn     = string
    version = string
  })
}

variable "commit_path" { type = string }

variable "function" {
  type = object({
    name = string
    arn  = string
  })
}

variable "bucket" {
  type = object({
    id    = string
    arn   = string
    slots = string
    # A directory bucket: access is to all of it.
    express = bool
  })
}

variable "vpc_id" { type = string }

variable "subnets" {
  description = "Zone name => subnet."
  type        = map(string)
}

variable "zone_ids" {
  description = "Zone name => zone id."
  type        = map(string)
}

variable "security_groups" {
  type = object({
    agent         = string
    load_balancer = string
  })
}

variable "tls" {
  type = object({
    certificate_arn = string
    hosted_zone_id  = string
    domain          = string
  })
}

variable "advertise" { type = string }
variable "log_retention_days" { type = number }
variable "alarm_actions" { type = list(string) }
