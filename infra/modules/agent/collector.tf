# The collector beside agent and sidecar (AWS Distro for OpenTelemetry): takes their spans, and the function's, and hands them to X-Ray.

locals {
  # OTLP over HTTP, where our programs send unless they are told otherwise (docs/LOGGING.md).
  otlp_port = 4318

  collector_memory_mb = 256

  collector_config = {
    receivers = {
      # On every address: the function sends from outside of the task. The security groups let nobody else in.
      otlp = { protocols = { http = { endpoint = "0.0.0.0:${local.otlp_port}" } } }
    }
    processors = {
      # Refuses spans before the container's limit is met.
      memory_limiter = {
        check_interval  = "1s"
        limit_mib       = floor(local.collector_memory_mb * 0.7)
        spike_limit_mib = floor(local.collector_memory_mb * 0.2)
      }
      batch = { timeout = "5s" }
    }
    exporters = {
      awsxray = {
        region = data.aws_region.this.name
        # What traces are searched by.
        indexed_attributes = ["api", "object.key"]
      }
    }
    service = {
      pipelines = {
        traces = { receivers = ["otlp"], processors = ["memory_limiter", "batch"], exporters = ["awsxray"] }
      }
      telemetry = {
        logs = { encoding = "json", level = "warn" }
        # Nobody scrapes it.
        metrics = { level = "none" }
      }
    }
  }

  collector = {
    name  = "collector"
    image = var.collector_image
    # Without it spans are lost, and nothing else.
    essential = false
    restartPolicy = {
      enabled              = true
      restartAttemptPeriod = 60
    }
    environment = [for name, value in merge(local.region, {
      AOT_CONFIG_CONTENT = yamlencode(local.collector_config)
      GOMEMLIMIT         = "${floor(local.collector_memory_mb * 0.8)}MiB"
    }) : { name = name, value = value }]
    # Its own limit, so that it is the collector that dies when it takes too much.
    memory                 = local.collector_memory_mb
    logConfiguration       = try(local.logs["collector"], null)
    readonlyRootFilesystem = true
    stopTimeout            = 30
    mountPoints            = []
    portMappings           = []
    systemControls         = []
    volumesFrom            = []
  }

  collectors = var.collector_image == null ? [] : [local.collector]
}
