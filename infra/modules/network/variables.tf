variable "name" { type = string }
variable "zones" { type = number }
variable "vpc_cidr" { type = string }
variable "egress" { type = string }
variable "client_cidrs" { type = list(string) }
variable "scrape_cidrs" { type = list(string) }

variable "express" {
  description = "Whether the bucket is a directory bucket, which has a gateway of its own."
  type        = bool
}

variable "direct" {
  description = "Whether clients talk to agents without the load balancer in between."
  type        = bool
}

variable "collector" {
  description = "Whether there are collectors beside the agents, which the function sends its spans to."
  type        = bool
}

variable "existing_vpc" {
  type = object({
    id      = string
    cidr    = string
    subnets = map(string)
  })
}

variable "api_endpoints" {
  description = "AWS services, besides S3, that tasks call."
  type        = set(string)
}
