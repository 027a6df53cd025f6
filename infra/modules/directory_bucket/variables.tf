variable "name" { type = string }

variable "zone_id" {
  description = "The zone that it is in, by the id that means the same zone in every account."
  type        = string
}

variable "protect" { type = bool }
