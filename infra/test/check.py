"""Checks a deployment on the emulated AWS.

    check.py cost STATE PROFILE                           infra/README.md says what it costs
    check.py words STATE                                  settings, log lines and counters that Terraform names exist, the queue's delay fits who commits,
                                                          and programs and collector fit each other
    check.py run STATE BINARIES WORK ROLES                the real programs work on it; writes down which keys were which role's
    check.py policies STATE CALLS ROLES                   their calls, and AWS's own, against the rendered policies and the ways out
    check.py express PLAN CALLS ROLES                     what would be left, and the same calls against it

STATE is the output of `terraform show -json`. The endpoint is AWS_ENDPOINT_URL."""

import json
import os
import sys
from pathlib import Path

import collector
import cost
import express
import policies
import run_programs
import ways
import words
from deployment import Deployment


def main(what, state, *rest):
    deployment = Deployment(state)
    if what == "words":
        words.check_settings(deployment)
        words.check_delay(deployment)
        words.check_log_alarms(deployment)
        words.check_counter_alarms(deployment)
        collector.check(deployment)
    elif what == "cost":
        cost.check(deployment, *rest)
    elif what == "run":
        binaries, work, roles_file = rest
        roles = run_programs.run(deployment, binaries, work, os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"])
        keys = {kind: {"AccessKeyId": credentials["AccessKeyId"]} for kind, credentials in roles.items()}
        Path(roles_file).write_text(json.dumps(keys), encoding="utf-8")
    elif what in ("policies", "express"):
        calls, roles_file = rest
        if what == "express":
            express.check(deployment)
        roles = json.loads(Path(roles_file).read_text(encoding="utf-8"))
        recorded = policies.recorded_calls(calls, roles)
        policies.check(deployment, recorded)
        ways.check(deployment, recorded)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
