"""Lambda's part between queue and function: reads messages with the function's role, invokes, deletes what succeeded."""

import json


class EventQueue:
    def __init__(self, sqs, url, runtime_api):
        self.sqs, self.url, self.runtime_api = sqs, url, runtime_api
        self.arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        # Bodies of the messages that the function was given.
        self.delivered = []

    def receive(self, wait_s):
        answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
        return answer.get("Messages", [])

    def pump(self, wait_s=1):
        """One batch, if there is one. Returns how many messages succeeded."""
        messages = self.receive(wait_s)
        if not messages:
            return 0
        answer = self.runtime_api.invoke({"Records": [self.record(message) for message in messages]})
        self.delivered += [json.loads(message["Body"]) for message in messages]
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        assert not failed, f"{len(failed)} of {len(messages)} messages failed: {answer}"
        for message in messages:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)

    def record(self, message):
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "md5OfBody": message["MD5OfBody"],
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": self.arn.split(":")[3],
        }
