output "queue_name" { value = local.queued ? aws_sqs_queue.events[0].name : "" }
output "queue_url" { value = local.queued ? aws_sqs_queue.events[0].url : "" }
output "dead_letters_url" { value = aws_sqs_queue.dead_letters.url }
output "dead_letters_name" { value = aws_sqs_queue.dead_letters.name }
