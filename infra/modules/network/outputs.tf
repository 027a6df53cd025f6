output "vpc_id" { value = local.vpc_id }

output "agent_subnets" {
  description = "Zone name => subnet, where agents run."
  value       = { for zone in local.agent_zones : zone => local.subnets[zone] }
}

output "database_subnet_ids" {
  description = "In two zones at least."
  value       = [for zone in local.subnet_zones : local.subnets[zone]]
}

output "zone_ids" {
  description = "Zone name => the id that means the same zone in every account, which is what Kafka on AWS calls a rack."
  value       = { for n, zone in data.aws_availability_zones.this.names : zone => data.aws_availability_zones.this.zone_ids[n] }
}

output "security_groups" {
  value = {
    load_balancer = aws_security_group.load_balancer.id
    agent         = aws_security_group.agent.id
    function      = aws_security_group.function.id
    database      = aws_security_group.database.id
  }
}
