# A VPC of private subnets, or yours. Data travel between agents and S3 through the gateway endpoint, which costs nothing; everything
# else that leaves the VPC is small (images, logs, secrets).

data "aws_region" "this" {}

data "aws_availability_zones" "this" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  own = var.existing_vpc == null

  # RDS wants subnets in two zones, even where everything runs in one.
  subnet_zones = local.own ? slice(data.aws_availability_zones.this.names, 0, max(2, var.zones)) : sort(keys(var.existing_vpc.subnets))
  agent_zones  = slice(local.subnet_zones, 0, var.zones)

  vpc_id   = local.own ? aws_vpc.this[0].id : var.existing_vpc.id
  vpc_cidr = local.own ? var.vpc_cidr : var.existing_vpc.cidr
  subnets  = local.own ? { for zone, subnet in aws_subnet.private : zone => subnet.id } : var.existing_vpc.subnets
}

resource "aws_vpc" "this" {
  count = local.own ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

resource "aws_subnet" "private" {
  for_each = local.own ? { for n, zone in local.subnet_zones : zone => n } : {}

  vpc_id            = aws_vpc.this[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, each.value)
  tags              = { Name = "${var.name}-${each.key}" }
}

resource "aws_route_table" "private" {
  count = local.own ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[0].id
}
