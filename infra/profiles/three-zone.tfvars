# A zone may fail: agents in three, Postgres with a standby in a second one.
zones = 3

agents = {
  min             = 1
  max             = 4
  cpu             = 1024
  memory_mb       = 4096
  cache_memory_mb = 1024
  cache_disk_gib  = 20
}

database = {
  engine          = "aurora"
  min_acu         = 1
  max_acu         = 8
  standby         = true
  max_connections = 500
}

function_concurrency = 20
log_retention_days   = 30
protect              = true
