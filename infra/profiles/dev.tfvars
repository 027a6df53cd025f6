# One zone, the smallest of everything, gone with `terraform destroy`. A zone's failure stops it; its data stay in S3 and in Postgres.
zones = 1

agents = {
  min             = 1
  max             = 2
  cpu             = 512
  memory_mb       = 2048
  cache_memory_mb = 256
  cache_disk_gib  = 10
}

database = {
  engine          = "rds"
  instance_class  = "db.t4g.small"
  standby         = false
  max_connections = 120
}

function_concurrency = 10
log_retention_days   = 7
protect              = false
