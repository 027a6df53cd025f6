# What runs in a task: the agent, and beside it the sidecar, which may come and go.

locals {
  # Nothing means AWS and its credential chain. As arguments: ECS drops variables without a value, and the program's defaults, which
  # are a laptop's, would come through (hashicorp/terraform-provider-aws issue 39533).
  aws_arguments = ["--s3-endpoint=", "--s3-access-key=", "--s3-secret-key="]

  # Who runs a task's programs does not say in which region they are; IAM tokens for Postgres are signed for one.
  region = { AWS_REGION = data.aws_region.this.name }

  # Whom the image's programs trust to be Postgres (Dockerfile).
  authorities = { YAKS_DB_SSLROOTCERT = "/etc/ssl/rds/global-bundle.pem" }

  agent_environment = merge(var.environment, var.tracing, local.region, local.authorities, {
    YAKS_NODE_ID              = "auto"
    YAKS_DB_USER              = var.database_users.roles.agent.name
    YAKS_DB_AUTH              = "iam"
    YAKS_COMMIT_PATH          = var.commit_path
    YAKS_CACHE_ENABLED        = "true"
    YAKS_CACHE_ADVERTISED_URL = "http://auto:9080"
    YAKS_DB_POOL_SIZE         = tostring(var.agents.pool_size)
    YAKS_LOG_FORMAT           = "json"
  }, var.commit_path == "invoke" ? { YAKS_LAMBDA_FUNCTION = var.function.name } : {})

  # The owner of the tables, who makes the roles of the others.
  migrate_environment = merge(var.environment, local.authorities, {
    YAKS_DB_USER          = var.database_users.owner
    YAKS_DB_AGENT_USER    = var.database_users.roles.agent.name
    YAKS_DB_FUNCTION_USER = var.database_users.roles.function.name
    YAKS_LOG_FORMAT       = "json"
  })

  # Of the settings that all share, the sidecar knows S3's.
  cache_environment = merge({ for name, value in var.environment : name => value if startswith(name, "YAKS_S3_") }, var.tracing, {
    YAKS_CACHE_SIZE_MB = tostring(var.agents.cache_memory_mb)
    YAKS_CACHE_DISK_MB = tostring(var.agents.cache_disk_gib * 1024)
    YAKS_LOG_FORMAT    = "json"
  })

  # Only this key of the secret, and this version of it: a new password makes new tasks.
  secrets = [{
    name      = "YAKS_DB_PASSWORD"
    valueFrom = "${var.secret.arn}:password::${var.secret.version}"
  }]

  # Whether the program answers at all; whether it is ready is for the load balancer to ask.
  health_check = {
    interval    = 10
    timeout     = 5
    retries     = 3
    startPeriod = 60
  }

  logs = {
    for program, group in aws_cloudwatch_log_group.this : program => {
      logDriver = "awslogs"
      options = {
        awslogs-group         = group.name
        awslogs-region        = data.aws_region.this.name
        awslogs-stream-prefix = program
        # When CloudWatch does not take them, log lines are lost rather than requests delayed.
        mode            = "non-blocking"
        max-buffer-size = "4m"
      }
    }
  }
}

resource "aws_ecs_task_definition" "agent" {
  for_each = var.subnets

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.agents.cpu
  memory                   = var.agents.memory_mb
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture == "arm64" ? "ARM64" : "X86_64"
  }

  # The sidecar's disk dies with the task. Images and logs lie there too.
  ephemeral_storage {
    size_in_gib = max(21, var.agents.cache_disk_gib + 10)
  }

  volume {
    name = "cache"
  }

  container_definitions = jsonencode(concat([
    {
      name      = "agent"
      image     = var.agent_image
      essential = true
      command   = local.aws_arguments
      environment = [for name, value in merge(local.agent_environment, {
        # Its own address, or its zone's name of the load balancer: clients that bootstrap in a zone stay in it.
        YAKS_ADVERTISED_HOST = var.advertise == "task" ? "auto" : local.zone_names[each.key]
        YAKS_RACK            = var.zone_ids[each.key]
      }) : { name = name, value = value }]
      portMappings           = [for port in [local.kafka_port, local.admin_port] : { containerPort = port, hostPort = port, protocol = "tcp" }]
      logConfiguration       = local.logs["agent"]
      readonlyRootFilesystem = true
      healthCheck            = merge(local.health_check, { command = ["CMD", "yaks-agent", "health"] })
      # It needs up to 25 s to answer everybody and end its stream (YAKS_SHUTDOWN_MS).
      stopTimeout    = 60
      mountPoints    = []
      systemControls = []
      volumesFrom    = []
    },
    {
      name  = "cache"
      image = var.cache_image
      # Without it agents read S3 themselves: it must neither hold up their start nor take them along.
      essential = false
      restartPolicy = {
        enabled              = true
        restartAttemptPeriod = 60
      }
      command     = local.aws_arguments
      environment = [for name, value in local.cache_environment : { name = name, value = value }]
      # Its own limit, so that it is the sidecar that dies when it takes too much.
      memory                 = var.agents.cache_memory_mb + 650
      mountPoints            = [{ sourceVolume = "cache", containerPath = "/var/cache/yaks", readOnly = false }]
      logConfiguration       = local.logs["cache"]
      readonlyRootFilesystem = true
      healthCheck            = merge(local.health_check, { command = ["CMD", "yaks-cache", "health"] })
      stopTimeout            = 30
      portMappings           = []
      systemControls         = []
      volumesFrom            = []
    },
  ], local.collectors))
}

# Run once per version, before the agents of that version can start: the output migrate_command.
resource "aws_ecs_task_definition" "migrate" {
  family                   = "${var.name}-migrate"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture == "arm64" ? "ARM64" : "X86_64"
  }

  container_definitions = jsonencode([
    {
      name                   = "migrate"
      image                  = var.agent_image
      essential              = true
      command                = ["migrate"]
      environment            = [for name, value in local.migrate_environment : { name = name, value = value }]
      secrets                = local.secrets
      logConfiguration       = local.logs["migrate"]
      readonlyRootFilesystem = true
      mountPoints            = []
      portMappings           = []
      systemControls         = []
      volumesFrom            = []
    },
  ])
}
