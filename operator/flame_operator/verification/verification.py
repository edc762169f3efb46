"""Has running servers verified, and says what that found: the room's way in."""

from flame_operator.resource.kinds import Key, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.status import is_verified
from flame_operator.status.outcome import Check
from flame_operator.verification.target import check_of, target_of
from flame_operator.verification.verifier import Verifier


class Verification:
    """Keeps the verifier informed of what to ask, and reads its verdicts."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def verify(
        self, server: Server, status: Manifest, deployment: Manifest | None, service: Manifest | None
    ) -> Check | None:
        """Have a server verified from now on, as long as there is a pod to ask.

        Args:
            server: The resource.
            status: Its stored status.
            deployment: Its live Deployment.
            service: Its live Service.

        Returns:
            What the last check found; None before the first.
        """
        target = target_of(server, deployment, service)
        if target is None:
            self._verifier.drop(server.key)
            return None
        self._verifier.want(server.key, target, known_good=is_verified(status))
        verdict = self._verifier.verdict(server.key)
        return check_of(verdict) if verdict else None

    def forget(self, key: Key) -> None:
        """The server is gone, or can't be used: verify it no more."""
        self._verifier.drop(key)
