# Who may talk to whom, all in one place:
#
#   clients -> load balancer :9092 -> agents :9092      scrapers -> agents :9090
#   clients -> agents :9092, if agents advertise themselves
#   agents -> agents :9092 (requests of a consumer group go to its coordinator)
#   load balancer -> agents :9090 (health)
#   agents, function -> database :5432, S3 :443, AWS APIs :443
#
#   agents and sidecars -> sidecars :9080 (those of a zone share their objects)
#   function -> collectors :4318, beside the agents
#
# Whoever reaches a sidecar can read every object: nobody else does.

locals {
  kafka_port    = 9092
  admin_port    = 9090
  cache_port    = 9080
  otlp_port     = 4318
  postgres_port = 5432
  client_cidrs  = length(var.client_cidrs) > 0 ? var.client_cidrs : [local.vpc_cidr]
}

resource "aws_security_group" "load_balancer" {
  name        = "${var.name}-nlb"
  description = "yaks: load balancer in front of the agents"
  vpc_id      = local.vpc_id
}

resource "aws_security_group" "agent" {
  name        = "${var.name}-agent"
  description = "yaks: agents"
  vpc_id      = local.vpc_id
}

resource "aws_security_group" "function" {
  name        = "${var.name}-function"
  description = "yaks: materializer function"
  vpc_id      = local.vpc_id
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "yaks: Postgres"
  vpc_id      = local.vpc_id
}

resource "aws_security_group" "endpoints" {
  count = local.own && var.egress == "endpoints" ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "yaks: interface endpoints of AWS APIs"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = toset(local.client_cidrs)

  security_group_id = aws_security_group.load_balancer.id
  description       = "Kafka clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.kafka_port
  to_port           = local.kafka_port
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  for_each = { kafka = local.kafka_port, health = local.admin_port }

  security_group_id            = aws_security_group.load_balancer.id
  description                  = "agents, ${each.key}"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "agent" {
  for_each = { kafka = local.kafka_port, health = local.admin_port }

  security_group_id            = aws_security_group.agent.id
  description                  = "load balancer, ${each.key}"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# Not there all the time: with TLS at the load balancer it would be a way past it. So whoever changes `advertise` to "zone" has the agents
# changed before this rule is gone (infra/README.md, Options).
resource "aws_vpc_security_group_ingress_rule" "direct" {
  for_each = var.direct ? toset(local.client_cidrs) : []

  security_group_id = aws_security_group.agent.id
  description       = "Kafka clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.kafka_port
  to_port           = local.kafka_port
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  security_group_id            = aws_security_group.agent.id
  description                  = "other agents"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = local.kafka_port
  to_port                      = local.kafka_port
}

resource "aws_vpc_security_group_egress_rule" "peers" {
  security_group_id            = aws_security_group.agent.id
  description                  = "other agents"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = local.kafka_port
  to_port                      = local.kafka_port
}

resource "aws_vpc_security_group_ingress_rule" "sidecars" {
  security_group_id            = aws_security_group.agent.id
  description                  = "sidecars of other agents"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = local.cache_port
  to_port                      = local.cache_port
}

resource "aws_vpc_security_group_egress_rule" "sidecars" {
  security_group_id            = aws_security_group.agent.id
  description                  = "sidecars of other agents"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = local.cache_port
  to_port                      = local.cache_port
}

resource "aws_vpc_security_group_ingress_rule" "spans" {
  count = var.collector ? 1 : 0

  security_group_id            = aws_security_group.agent.id
  description                  = "spans of the function"
  referenced_security_group_id = aws_security_group.function.id
  ip_protocol                  = "tcp"
  from_port                    = local.otlp_port
  to_port                      = local.otlp_port
}

resource "aws_vpc_security_group_egress_rule" "spans" {
  count = var.collector ? 1 : 0

  security_group_id            = aws_security_group.function.id
  description                  = "collectors beside the agents"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = local.otlp_port
  to_port                      = local.otlp_port
}

resource "aws_vpc_security_group_ingress_rule" "scrape" {
  for_each = toset(var.scrape_cidrs)

  security_group_id = aws_security_group.agent.id
  description       = "Prometheus"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.admin_port
  to_port           = local.admin_port
}

locals {
  programs = {
    agent    = aws_security_group.agent.id
    function = aws_security_group.function.id
  }
}

resource "aws_vpc_security_group_egress_rule" "postgres" {
  for_each = local.programs

  security_group_id            = each.value
  description                  = "Postgres"
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = local.postgres_port
  to_port                      = local.postgres_port
}

resource "aws_vpc_security_group_ingress_rule" "postgres" {
  for_each = local.programs

  security_group_id            = aws_security_group.database.id
  description                  = each.key
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.postgres_port
  to_port                      = local.postgres_port
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each = local.programs

  security_group_id = each.value
  description       = "S3, through the gateway endpoint"
  prefix_list_id    = data.aws_prefix_list.s3.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "s3express" {
  for_each = var.express ? local.programs : {}

  security_group_id = each.value
  description       = "S3 Express, through its gateway endpoint"
  prefix_list_id    = data.aws_prefix_list.s3express[0].id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = local.own && var.egress == "endpoints" ? local.programs : {}

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = each.key
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  for_each = local.own && var.egress == "endpoints" ? local.programs : {}

  security_group_id            = each.value
  description                  = "AWS APIs, through their endpoints"
  referenced_security_group_id = aws_security_group.endpoints[0].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

# A NAT gateway has no security group of its own, and what your own VPC has we do not know.
resource "aws_vpc_security_group_egress_rule" "apis" {
  for_each = local.own && var.egress == "endpoints" ? {} : local.programs

  security_group_id = each.value
  description       = "AWS APIs"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
