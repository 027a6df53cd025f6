"""Evaluates calls against IAM policies, as far as ours go: Allow and Deny, wildcards, and the conditions Null, Bool, StringEquals
and ArnEquals. Anything else in a policy is an error here, never a guess."""

from fnmatch import fnmatchcase

KNOWN = {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}


def as_list(value):
    return value if isinstance(value, list) else [value]


def matches(pattern, text):
    # fnmatch also knows [ ], which IAM does not.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def condition_holds(operator, key, values, context):
    """`context` holds what the call has; a key that is not there is null."""
    actual = context.get(key)
    if operator == "Null":
        return (actual is None) == (values == ["true"])
    if operator in ("Bool", "StringEquals"):
        return actual is not None and str(actual).lower() in [value.lower() for value in values]
    if operator == "ArnEquals":
        return actual is not None and any(matches(value, actual) for value in values)
    raise ValueError(f"policy.py does not know the condition {operator}")


class Statement:
    """One statement of a policy; counts, per action, the calls that it decided."""

    def __init__(self, where, number, text):
        unknown = set(text) - KNOWN
        if unknown:
            raise ValueError(f"policy.py does not know {unknown}")
        self.name = f"{where}/{text.get('Sid') or number}"
        self.denies = text["Effect"] == "Deny"
        self.actions = as_list(text["Action"])
        self.resources = as_list(text["Resource"])
        self.principal = text.get("Principal")
        self.conditions = text.get("Condition", {})
        self.used = {action: 0 for action in self.actions}

    def decides(self, call):
        action, resource, context = call
        hit = [pattern for pattern in self.actions if matches(pattern, action)]
        if not hit or not any(matches(pattern, resource) for pattern in self.resources):
            return False
        for operator, keys in self.conditions.items():
            for key, values in keys.items():
                if not condition_holds(operator, key, as_list(values), context):
                    return False
        for pattern in hit:
            self.used[pattern] += 1
        return True

    def unused(self):
        """An Allow owes a call for each of its actions; a Deny one for any."""
        if self.denies:
            return [] if any(self.used.values()) else [self.name]
        return [f"{self.name} {action}" for action, times in self.used.items() if not times]


def statements(where, document):
    return [Statement(where, n, text) for n, text in enumerate(as_list(document["Statement"]))]


def allowed(call, of_role, of_resource=()):
    """Within one account: no Deny on either side, and an Allow of the role. Every statement is asked, so that all that
    matter count the call."""
    decided = [statement for statement in [*of_role, *of_resource] if statement.decides(call)]
    if any(statement.denies for statement in decided):
        return False
    return any(statement in of_role for statement in decided)
