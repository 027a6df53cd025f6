# The ways out. infra/README.md tells which AWS API takes which.

data "aws_prefix_list" "s3" {
  name = "com.amazonaws.${data.aws_region.this.name}.s3"
}

resource "aws_vpc_endpoint" "s3" {
  count = local.own ? 1 : 0

  vpc_id          = aws_vpc.this[0].id
  service_name    = "com.amazonaws.${data.aws_region.this.name}.s3"
  route_table_ids = [aws_route_table.private[0].id]
  tags            = { Name = "${var.name}-s3" }
}

data "aws_prefix_list" "s3express" {
  count = var.express ? 1 : 0

  name = "com.amazonaws.${data.aws_region.this.name}.s3express"
}

# Beside that of S3, which image layers come through.
resource "aws_vpc_endpoint" "s3express" {
  count = local.own && var.express ? 1 : 0

  vpc_id          = aws_vpc.this[0].id
  service_name    = "com.amazonaws.${data.aws_region.this.name}.s3express"
  route_table_ids = [aws_route_table.private[0].id]
  tags            = { Name = "${var.name}-s3express" }
}

resource "aws_vpc_endpoint" "api" {
  for_each = local.own && var.egress == "endpoints" ? var.api_endpoints : []

  vpc_id              = aws_vpc.this[0].id
  service_name        = "com.amazonaws.${data.aws_region.this.name}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  # Each zone costs; where there are no agents, nobody calls.
  subnet_ids         = [for zone in local.agent_zones : aws_subnet.private[zone].id]
  security_group_ids = [aws_security_group.endpoints[0].id]
  tags               = { Name = "${var.name}-${each.value}" }
}

# The function has poison to send to the dead-letter queue, hardly ever. In one zone, of all: while that one is away, poison comes again.
resource "aws_vpc_endpoint" "sqs" {
  count = local.own && var.egress == "endpoints" ? 1 : 0

  vpc_id              = aws_vpc.this[0].id
  service_name        = "com.amazonaws.${data.aws_region.this.name}.sqs"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [aws_subnet.private[local.agent_zones[0]].id]
  security_group_ids  = [aws_security_group.endpoints[0].id]
  tags                = { Name = "${var.name}-sqs" }
}

locals {
  nat = local.own && var.egress == "nat"
}

resource "aws_internet_gateway" "this" {
  count = local.nat ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = var.name }
}

resource "aws_subnet" "nat" {
  count = local.nat ? 1 : 0

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.agent_zones[0]
  cidr_block        = cidrsubnet(var.vpc_cidr, 8, 255)
  tags              = { Name = "${var.name}-nat" }
}

resource "aws_route_table" "nat" {
  count = local.nat ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.name}-nat" }
}

resource "aws_route_table_association" "nat" {
  count = local.nat ? 1 : 0

  subnet_id      = aws_subnet.nat[0].id
  route_table_id = aws_route_table.nat[0].id
}

resource "aws_route" "to_internet" {
  count = local.nat ? 1 : 0

  route_table_id         = aws_route_table.nat[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_eip" "nat" {
  count = local.nat ? 1 : 0

  domain = "vpc"
  tags   = { Name = "${var.name}-nat" }
}

# One for all zones: only images, logs, secrets and poison pass through it, and agents that run go on without.
resource "aws_nat_gateway" "this" {
  count = local.nat ? 1 : 0

  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.nat[0].id
  tags          = { Name = var.name }
  depends_on    = [aws_route.to_internet]
}

resource "aws_route" "to_nat" {
  count = local.nat ? 1 : 0

  route_table_id         = aws_route_table.private[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}
