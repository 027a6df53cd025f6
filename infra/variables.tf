variable "name" {
  description = "Name of the cluster and prefix of everything it consists of."
  type        = string
  default     = "yaks"

  validation {
    # Load balancers and target groups have 32 characters; ours add up to 8.
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: 3 to 24 characters, lower case letters, digits and hyphens, a letter first."
  }
}

variable "tags" {
  description = "Tags for every resource, besides yaks:cluster."
  type        = map(string)
  default     = {}
}

variable "zones" {
  description = "Availability zones with agents. One is cheapest; with three, a zone may fail."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 2, 3], var.zones)
    error_message = "zones: 1, 2 or 3."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC that is made. Ignored with existing_vpc."
  type        = string
  default     = "10.92.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && tonumber(split("/", var.vpc_cidr)[1]) <= 20
    error_message = "vpc_cidr: an IPv4 network of /20 or larger."
  }
}

variable "existing_vpc" {
  description = "Your own VPC: its id, its addresses, and a private subnet per zone (at least two zones: RDS wants two). It must have routes to what infra/README.md lists."
  type = object({
    id      = string
    cidr    = string
    subnets = map(string)
  })
  default = null

  validation {
    condition     = var.existing_vpc == null || length(try(var.existing_vpc.subnets, {})) >= max(2, var.zones)
    error_message = "existing_vpc.subnets: zone name => subnet id, at least two of them and at least as many as zones."
  }
}

variable "egress" {
  description = "How tasks reach the AWS APIs other than S3: `endpoints` (interface endpoints in each zone), or `nat` (one NAT gateway: cheaper from two zones on, and one zone's failure takes it away)."
  type        = string
  default     = "endpoints"

  validation {
    condition     = contains(["endpoints", "nat"], var.egress)
    error_message = "egress: endpoints or nat."
  }
}

variable "client_cidrs" {
  description = "Who may reach the brokers, on 9092. Empty: the VPC."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.client_cidrs : can(cidrnetmask(cidr))])
    error_message = "client_cidrs: a list of IPv4 networks."
  }
}

variable "scrape_cidrs" {
  description = "Who may read the agents' Prometheus metrics, on 9090. Empty: nobody."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.scrape_cidrs : can(cidrnetmask(cidr))])
    error_message = "scrape_cidrs: a list of IPv4 networks."
  }
}

variable "advertise" {
  description = "Where clients are sent after bootstrap: `task` (the agents' own addresses, so that data do not pay the load balancer; client_cidrs reach the tasks then), or `zone` (the load balancer's name in the agent's zone)."
  type        = string
  default     = "task"

  validation {
    condition     = contains(["task", "zone"], var.advertise)
    error_message = "advertise: task or zone."
  }

  validation {
    condition     = var.tls == null || var.advertise == "zone"
    error_message = "tls ends at the load balancer, so it needs advertise = \"zone\"."
  }
}

variable "tls" {
  description = "TLS between clients and the load balancer: an ACM certificate for *.domain, and the private Route 53 zone in which <zone>.domain is written. null: plain text."
  type = object({
    certificate_arn = string
    hosted_zone_id  = string
    domain          = string
  })
  default = null
}

variable "agent_image" {
  description = "Container image whose entry point is yaks-agent. In ECR, in this region; give a digest or a tag that never moves."
  type        = string
}

variable "cache_image" {
  description = "Container image whose entry point is yaks-cache; its user must be able to write the volume /var/cache/yaks."
  type        = string
}

variable "materializer_zip" {
  description = "File with the function: a zip that holds yaks-materializer as `bootstrap`."
  type        = string

  validation {
    condition     = fileexists(var.materializer_zip)
    error_message = "materializer_zip: there is no such file."
  }
}

variable "architecture" {
  description = "What images and zip were built for: arm64 (a fifth cheaper) or x86."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86"], var.architecture)
    error_message = "architecture: arm64 or x86."
  }
}

variable "agents" {
  description = "Agents per zone, from min to max as their load asks, and the size of a task. Memory must hold the agent (YAKS_MEMORY_MB, 768 by default, and 256 MB) and the sidecar (cache_memory_mb and 650 MB)."
  type = object({
    min             = optional(number, 1)
    max             = optional(number, 4)
    cpu             = optional(number, 1024)
    memory_mb       = optional(number, 4096)
    cache_memory_mb = optional(number, 1024)
    cache_disk_gib  = optional(number, 20)
    pool_size       = optional(number, 10)
  })
  default = {}

  validation {
    condition     = var.agents.min >= 1 && var.agents.max >= var.agents.min
    error_message = "agents: min is at least 1, and max at least min."
  }

  validation {
    condition     = var.agents.memory_mb >= var.agents.cache_memory_mb + 650 + 1024 + (var.collector ? 256 : 0)
    error_message = "agents: memory_mb must hold cache_memory_mb, 650 MB of the sidecar's own, 1024 MB for the agent, and 256 MB for a collector."
  }

  validation {
    # Fargate has 200 GiB per task, 10 of which we leave to images and logs.
    condition     = var.agents.cache_disk_gib >= 1 && var.agents.cache_disk_gib <= 190
    error_message = "agents: cache_disk_gib is 1 to 190."
  }
}

variable "database" {
  description = "Postgres: `aurora` (Serverless v2; sized by min_acu and max_acu) or `rds` (one instance_class with storage_gib). standby: a second one in another zone. max_connections: what it is configured for; each takes about 10 MB; a change wants a reboot (infra/README.md, Scale)."
  type = object({
    engine          = optional(string, "aurora")
    min_acu         = optional(number, 1)
    max_acu         = optional(number, 8)
    instance_class  = optional(string, "db.t4g.small")
    storage_gib     = optional(number, 20)
    standby         = optional(bool, true)
    max_connections = optional(number, 500)
  })
  default = {}

  validation {
    condition     = contains(["aurora", "rds"], var.database.engine)
    error_message = "database.engine: aurora or rds."
  }

  validation {
    condition     = var.database.min_acu >= 0.5 && var.database.max_acu >= var.database.min_acu && var.database.max_acu <= 256
    error_message = "database: 0.5 <= min_acu <= max_acu <= 256. (Agents' heartbeats keep Aurora awake, so 0 would save nothing.)"
  }

  validation {
    # 2 GiB each; a quarter is left to what is no connection.
    condition     = var.database.engine != "aurora" || var.database.max_connections <= var.database.max_acu * 150
    error_message = "database.max_connections: at most 150 for each of max_acu."
  }
}

variable "password_version" {
  description = "Raise it to have a new password made for the tables' owner, whom only the migrations sign in as."
  type        = number
  default     = 1
}

variable "storage_class" {
  description = "What keeps the records: `standard` (S3, in three zones) or `express` (S3 Express One Zone, a directory bucket in the agents' zone: an upload takes milliseconds, and the records are gone with the zone). Not to be changed on a running deployment: records are not moved."
  type        = string
  default     = "standard"

  validation {
    condition     = contains(["standard", "express"], var.storage_class)
    error_message = "storage_class: standard or express."
  }

  validation {
    condition     = var.storage_class == "standard" || var.zones == 1
    error_message = "storage_class = \"express\" keeps everything in one zone, so it needs zones = 1."
  }

  validation {
    condition     = var.storage_class == "standard" || var.commit_path == "invoke"
    error_message = "storage_class = \"express\" sends no events, so it needs commit_path = \"invoke\"."
  }

  validation {
    condition     = (var.storage_class == "express") == (var.event_source == "none")
    error_message = "storage_class = \"express\" sends no events, so it needs event_source = \"none\", which nothing else has."
  }
}

variable "event_source" {
  description = "How the function hears of new objects: `sqs` (S3 -> queue -> function), `eventbridge` (S3 -> EventBridge -> queue -> function; leaves the bucket's only notification to others), `s3` (S3 -> function; Lambda repeats a failure twice, then it is in the dead-letter queue), or `none` (with storage_class = \"express\" only)."
  type        = string
  default     = "sqs"

  validation {
    condition     = contains(["sqs", "s3", "eventbridge", "none"], var.event_source)
    error_message = "event_source: sqs, s3, eventbridge or none."
  }
}

variable "commit_path" {
  description = "Who gives offsets first: `event` (the function, by the S3 event), `invoke` (the function, invoked by the agent) or `inline` (the agent)."
  type        = string
  default     = "event"

  validation {
    condition     = contains(["event", "invoke", "inline"], var.commit_path)
    error_message = "commit_path: event, invoke or inline."
  }
}

variable "function_concurrency" {
  description = "Most invocations at once for events. Each has up to two database connections."
  type        = number
  default     = 20

  validation {
    condition     = var.function_concurrency >= 2 && var.function_concurrency <= 1000
    error_message = "function_concurrency: 2 to 1000, as SQS event sources have it."
  }
}

variable "collector" {
  description = "Whether a collector (AWS Distro for OpenTelemetry) runs beside each agent, to which agents, sidecars and function send their spans, for X-Ray."
  type        = bool
  default     = false
}

variable "collector_image" {
  description = "Container image of that collector. With egress = \"endpoints\": a copy in your ECR, since nothing has a way to the public one."
  type        = string
  default     = "public.ecr.aws/aws-observability/aws-otel-collector:v0.49.0"

  validation {
    # ECR has no endpoint for its public registry, and a pull-through cache has to fetch an image once by way of the internet.
    condition     = !var.collector || var.egress == "nat" || var.existing_vpc != null || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.", var.collector_image))
    error_message = "collector_image: with egress = \"endpoints\" tasks reach your own ECR only. Copy the collector there once (infra/README.md, Traces) and name the copy."
  }
}

variable "trace_ratio" {
  description = "Which part of the requests is traced, with a collector. X-Ray takes $5 for a million traces."
  type        = number
  default     = 0.01

  validation {
    condition     = var.trace_ratio > 0 && var.trace_ratio <= 1
    error_message = "trace_ratio: above 0, and at most 1."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps logs."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days: 1, 3, 5, 7, 14, 30, 60, 90, 180 or 365."
  }
}

variable "alarm_emails" {
  description = "Who hears of alarms; AWS asks each address for consent. The topic is an output, for anything else."
  type        = list(string)
  default     = []
}

variable "protect" {
  description = "Whether bucket and database refuse to be destroyed while they hold data."
  type        = bool
  default     = true
}
