variable "name" { type = string }
variable "protect" { type = bool }
variable "alarm_actions" { type = list(string) }
