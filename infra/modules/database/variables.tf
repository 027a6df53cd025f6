variable "name" { type = string }
variable "subnet_ids" { type = list(string) }
variable "security_group_id" { type = string }

variable "database" {
  type = object({
    engine          = string
    min_acu         = number
    max_acu         = number
    instance_class  = string
    storage_gib     = number
    standby         = bool
    max_connections = number
  })
}

variable "password_version" { type = number }
variable "protect" { type = bool }
variable "log_retention_days" { type = number }
variable "alarm_actions" { type = list(string) }
