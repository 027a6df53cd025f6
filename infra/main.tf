# A whole deployment. infra/README.md draws it and says what it costs.

locals {
  express = var.storage_class == "express"
  bucket  = one(concat(module.bucket, module.directory_bucket))

  # ECR twice: one API to sign in, one that hands out images (whose layers come from S3).
  api_endpoints = concat(
    ["ecr.api", "ecr.dkr", "logs", "secretsmanager"],
    var.commit_path == "invoke" ? ["lambda"] : [],
    var.collector ? ["xray"] : [],
  )

  agents_max = var.zones * var.agents.max

  # While a version is rolled out, old and new agents stand side by side, and sandboxes of the old function keep their connections until
  # Lambda ends them: hence both twice. An agent waits for notifications (LISTEN) on a connection beside its pool; a sandbox has two.
  connections_max = 2 * local.agents_max * (var.agents.pool_size + 1) + 2 * 2 * local.function_invocations_max + 10

  # Events, the sweep, and with `invoke` one commit in flight per agent.
  function_invocations_max = var.function_concurrency + 1 + (var.commit_path == "invoke" ? 2 * local.agents_max : 0)

  # Long enough for two tries of S3 and a commit (materializer-fn/src/limits.rs counts on it).
  function_timeout_s = 10

  alarm_actions = [aws_sns_topic.alarms.arn]

  # What agent, sidecar and function are told alike.
  environment = {
    YAKS_S3_REGION     = data.aws_region.this.name
    YAKS_S3_BUCKET     = local.bucket.id
    YAKS_S3_PATH_STYLE = "false"
    YAKS_DB_HOST       = module.database.connection.host
    YAKS_DB_PORT       = tostring(module.database.connection.port)
    YAKS_DB_NAME       = module.database.connection.name
    YAKS_DB_SSLMODE    = "verify-full"
  }

  # Who exports spans at all, and of how many requests. The migrations do not: no collector is beside them.
  tracing = var.collector ? {
    YAKS_OTEL_ENABLED       = "true"
    OTEL_TRACES_SAMPLER     = "parentbased_traceidratio"
    OTEL_TRACES_SAMPLER_ARG = tostring(var.trace_ratio)
  } : {}
}

data "aws_region" "this" {}

resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"

  lifecycle {
    precondition {
      condition     = local.connections_max <= var.database.max_connections
      error_message = "Agents and function may open ${local.connections_max} connections at once (while a version is rolled out 2 x zones x agents.max x (agents.pool_size + 1), and 2 x 2 for each of up to ${local.function_invocations_max} invocations; 10 to spare), but database.max_connections is ${var.database.max_connections}."
    }
  }
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.alarm_emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

module "network" {
  source = "./modules/network"

  name          = var.name
  zones         = var.zones
  vpc_cidr      = var.vpc_cidr
  existing_vpc  = var.existing_vpc
  egress        = var.egress
  api_endpoints = local.api_endpoints
  client_cidrs  = var.client_cidrs
  scrape_cidrs  = var.scrape_cidrs
  direct        = var.advertise == "task"
  collector     = var.collector
  express       = local.express
}

module "bucket" {
  source = "./modules/bucket"
  count  = local.express ? 0 : 1

  name          = var.name
  protect       = var.protect
  alarm_actions = local.alarm_actions
}

module "directory_bucket" {
  source = "./modules/directory_bucket"
  count  = local.express ? 1 : 0

  name    = var.name
  zone_id = one([for zone in keys(module.network.agent_subnets) : module.network.zone_ids[zone]])
  protect = var.protect
}

module "database" {
  source = "./modules/database"

  name               = var.name
  subnet_ids         = module.network.database_subnet_ids
  security_group_id  = module.network.security_groups.database
  database           = var.database
  password_version   = var.password_version
  protect            = var.protect
  log_retention_days = var.log_retention_days
  alarm_actions      = local.alarm_actions
}

module "materializer" {
  source = "./modules/materializer"

  name              = var.name
  zip               = var.materializer_zip
  architecture      = var.architecture
  bucket            = local.bucket
  environment       = merge(local.environment, local.tracing, var.collector ? { OTEL_EXPORTER_OTLP_ENDPOINT = module.agent.otlp_endpoint } : {})
  database_user     = module.database.users.roles.function
  timeout_s         = local.function_timeout_s
  subnet_ids        = values(module.network.agent_subnets)
  security_group_id = module.network.security_groups.function
  # No circle: that queue has no need of the function.
  dead_letter_queue_url = module.events.dead_letters_url
  # A queue's readers are limited by themselves. What S3 sends directly is not.
  reserved_concurrency = var.event_source == "s3" ? local.function_invocations_max : -1
  log_retention_days   = var.log_retention_days
  alarm_actions        = local.alarm_actions
}

module "events" {
  source = "./modules/events"

  name                 = var.name
  event_source         = var.event_source
  commit_path          = var.commit_path
  bucket               = local.bucket
  function             = module.materializer.function
  function_timeout_s   = local.function_timeout_s
  function_concurrency = var.function_concurrency
  alarm_actions        = local.alarm_actions
}

module "agent" {
  source = "./modules/agent"

  name               = var.name
  agent_image        = var.agent_image
  cache_image        = var.cache_image
  collector_image    = var.collector ? var.collector_image : null
  architecture       = var.architecture
  agents             = var.agents
  environment        = local.environment
  tracing            = local.tracing
  database_users     = module.database.users
  secret             = module.database.secret
  commit_path        = var.commit_path
  function           = module.materializer.function
  bucket             = local.bucket
  vpc_id             = module.network.vpc_id
  subnets            = module.network.agent_subnets
  zone_ids           = module.network.zone_ids
  security_groups    = module.network.security_groups
  tls                = var.tls
  advertise          = var.advertise
  log_retention_days = var.log_retention_days
  alarm_actions      = local.alarm_actions
}
