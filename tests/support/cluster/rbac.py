"""The rights that roles grant to a service account, and which of them nobody has used. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.harness.audit import Request

Json = dict[str, Any]


class Right(NamedTuple):
    """One verb on one resource; empty `namespace` and `name` stand for all."""

    namespace: str
    group: str
    resource: str
    name: str
    verb: str

    def allows(self, request: Request) -> bool:
        """Whether the request needs this right. An apply that makes an object needs `create` as well."""
        verbs = {request.verb, "create"} if request.created else {request.verb}
        return (
            self.verb in verbs
            and (self.group, self.resource) == (request.group, request.target)
            and self.namespace in ("", request.namespace)
            and self.name in ("", request.name)
        )

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}".rstrip(".") + (f" {self.name}" if self.name else "")
        return f"{self.verb} {what} in {self.namespace or 'all namespaces'}"


def granted(documents: Sequence[Json], account: str) -> set[Right]:
    """The rights that rendered roles and bindings give to a service account."""
    roles = {(one["kind"], _namespace(one), one["metadata"]["name"]): one for one in documents}
    found: set[Right] = set()
    for binding in documents:
        if not binding["kind"].endswith("RoleBinding"):
            continue
        if any(subject["name"] == account for subject in binding["subjects"]):
            kind, place = binding["roleRef"]["kind"], _namespace(binding)
            role = roles[kind, "" if kind == "ClusterRole" else place, binding["roleRef"]["name"]]
            found.update(_rights(role["rules"], place))
    return found


def _namespace(document: Json) -> str:
    found: str = document["metadata"].get("namespace", "")
    return found


def _rights(rules: Iterable[Json], namespace: str) -> Iterator[Right]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(namespace, group, resource, name, verb)


def unused(rights: Iterable[Right], requests: Sequence[Request]) -> list[str]:
    """The rights that no request has needed, in words."""
    return sorted(str(right) for right in rights if not any(right.allows(request) for request in requests))
