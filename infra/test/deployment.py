"""What was deployed, or is planned, as `terraform show -json` tells it."""

import json


class Deployment:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            shown = json.load(file)
        root = shown.get("values", shown.get("planned_values"))["root_module"]
        self.resources = [resource for resource in walk(root) if resource["mode"] == "managed"]
        # What a plan does not know yet of a resource that is there (because something that it names changes too), it has now.
        prior = shown.get("prior_state", {}).get("values", {}).get("root_module", {})
        before = {resource["address"]: resource["values"] for resource in walk(prior)}
        for resource in self.resources:
            resource["values"] = {**before.get(resource["address"], {}), **resource["values"]}

    def all(self, kind, name=None):
        """The values of every resource of a kind (and name)."""
        return [r["values"] for r in self.resources if r["type"] == kind and name in (None, r["name"])]

    def one(self, kind, name=None):
        found = self.all(kind, name)
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources {kind}.{name}")
        return found[0]

    def bucket(self):
        return self.one("aws_s3_bucket", "this")

    def function(self):
        return self.one("aws_lambda_function", "this")

    def function_settings(self):
        return self.function()["environment"][0]["variables"]

    def containers(self, task):
        """The containers of one task definition (of the first, where each zone has its own), by name."""
        definition = self.all("aws_ecs_task_definition", task)[0]
        return {c["name"]: c for c in json.loads(definition["container_definitions"])}

    def role_policies(self, role):
        """Name => document, of what is attached to a role."""
        return {p["name"]: json.loads(p["policy"]) for p in self.all("aws_iam_role_policy") if p["role"] == role}


def walk(module):
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from walk(child)


def settings_of(container):
    """Its environment as a mapping."""
    return {variable["name"]: variable["value"] for variable in container["environment"]}
