"""Tells which servers an installation of the operator handles, where there are several in a cluster. Pure.

Which one handles a server is kept in its status, so that it costs no write of its own. Whoever finds another
there stands back. A user's word, the annotation `flamemcp.dev/operator`, hands a server over.
"""

from dataclasses import dataclass

from flame_operator.formats.shape import at, mapping, text
from flame_operator.formats.text import plain
from flame_operator.resource.annotations import OPERATOR
from flame_operator.resource.kinds import Manifest, is_whole, key_of

HOLDER, CONTENDER = "operator", "contender"
"""The fields of the status that name who handles a server, and who has found it and stands back."""
MAX_NAME = 256


@dataclass(frozen=True)
class Installation:
    """This installation of the operator among others.

    Attributes:
        name: Who it is: the namespace and the name of its Lease, unless its settings say otherwise.
        operator_class: It handles the servers with this `spec.operatorClass`; empty for those without one.
        excluded: The namespaces that it leaves to others.
    """

    name: str = "default/flame-mcp-operator"
    operator_class: str = ""
    excluded: frozenset[str] = frozenset()

    def covers(self, body: Manifest) -> bool:
        """Whether a server is of any interest; those of another class don't exist for this installation."""
        if key_of(body).namespace in self.excluded:
            return False
        # Of a server that is too large to be read the class isn't known.
        return not is_whole(body) or text(at(body, "spec", "operatorClass")) == self.operator_class

    def claim(self) -> dict[str, str]:
        """The content of `status.operator` of a server that it handles."""
        return {"name": self.name} | ({"class": self.operator_class} if self.operator_class else {})

    def stands_back(self, body: Manifest) -> bool:
        """Whether another installation handles this server: it is left alone."""
        word = _word(body)
        return word != self.name if word else self._holder(body) not in {"", self.name}

    def must_tell(self, body: Manifest) -> bool:
        """Whether to say in the status that it stands back: once for each generation, and one for all."""
        if told_generation(body) == _generation(body):
            return False
        # Who is named takes over, and nobody else needs to speak, unless it is this one that lets go.
        return self._holder(body) == self.name if _word(body) else True

    def contender(self, body: Manifest) -> str:
        """Another installation that has found this server since it was last changed, or nothing."""
        found = plain(at(body, "status", CONTENDER, "name"), MAX_NAME)
        if _word(body) or found == self.name or told_generation(body) != _generation(body):
            return ""
        return found

    def holder_of(self, body: Manifest) -> str:
        """The name of the installation that the server is left to."""
        return _word(body) or self._holder(body)

    def _holder(self, body: Manifest) -> str:
        """The installation that has handled it last; empty after a change of the class: a hand-over."""
        held = mapping(at(body, "status", HOLDER))
        return plain(held.get("name"), MAX_NAME) if text(held.get("class")) == self.operator_class else ""


ALONE = Installation()
"""An installation with the chart's usual names, that handles what has no class."""


def told_generation(body: Manifest) -> int:
    """The generation of a server for which somebody has said that it stands back; 0 when nobody has."""
    found = at(body, "status", CONTENDER, "generation")
    return found if isinstance(found, int) else 0


def conflict_message(holder: str, contender: str, body: Manifest) -> str:
    """What two installations say of a server that both have found: the same, so it is written once."""
    namespace, name = key_of(body)
    return (
        f"Two operators have found this resource: {holder} handles it, and {contender} stands back. Leave it "
        "to one of them by operatorClass, watchNamespaces or excludeNamespaces of their charts. If "
        f"{holder} is gone, or this is to go away, name the one that is to handle it: kubectl annotate fmcp "
        f"{name} -n {namespace} {OPERATOR}=NAMESPACE/NAME --overwrite"
    )


def _word(body: Manifest) -> str:
    return plain(mapping(body["metadata"].get("annotations")).get(OPERATOR), MAX_NAME)


def _generation(body: Manifest) -> int:
    found = body["metadata"].get("generation", 0)
    return found if isinstance(found, int) else 0
