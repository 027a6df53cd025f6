# One internal load balancer with an address in each zone, and no traffic between zones: who connects to <zone>.<name> is served in
# that zone. With advertise = "zone" the agents of a zone advertise that name, and clients see one broker per zone; else each agent.

resource "aws_lb" "this" {
  name                             = "${var.name}-kafka"
  load_balancer_type               = "network"
  internal                         = true
  subnets                          = values(var.subnets)
  security_groups                  = [var.security_groups.load_balancer]
  enable_cross_zone_load_balancing = false
}

resource "aws_lb_target_group" "kafka" {
  name        = "${var.name}-kafka"
  port        = local.kafka_port
  protocol    = "TCP"
  target_type = "ip"
  vpc_id      = var.vpc_id
  # An agent that is told to stop answers everybody by itself; this only keeps new connections away from it.
  deregistration_delay = 15

  health_check {
    protocol            = "HTTP"
    port                = tostring(local.admin_port)
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "kafka" {
  load_balancer_arn = aws_lb.this.arn
  port              = local.kafka_port
  protocol          = var.tls == null ? "TCP" : "TLS"
  certificate_arn   = var.tls == null ? null : var.tls.certificate_arn
  ssl_policy        = var.tls == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.kafka.arn
  }
}

locals {
  zone_names = {
    for zone in keys(var.subnets) : zone => var.tls == null ? "${zone}.${aws_lb.this.dns_name}" : "${zone}.${var.tls.domain}"
  }
}

# The names that the certificate has.
resource "aws_route53_record" "zone" {
  for_each = var.tls == null ? {} : var.subnets

  zone_id = var.tls.hosted_zone_id
  name    = local.zone_names[each.key]
  type    = "CNAME"
  ttl     = 60
  records = ["${each.key}.${aws_lb.this.dns_name}"]
}

# Addresses of the tasks themselves, for Prometheus (dns_sd_configs). An answer has eight of them at most (MULTIVALUE), whoever asks: of
# more agents Cloud Map's API knows all. A name for each zone would not end that, and an ECS service registers under one name only.
resource "aws_service_discovery_private_dns_namespace" "this" {
  name = "${var.name}.internal"
  vpc  = var.vpc_id
}

resource "aws_service_discovery_service" "agents" {
  name = "agents"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}
