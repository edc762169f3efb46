"""Has running servers verified, and returns the results: the entry point of this room."""

from flame_operator.resource.kinds import Key, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.status import is_verified
from flame_operator.status.outcome import Check
from flame_operator.verification.target import check_of, target_of
from flame_operator.verification.verifier import Verifier


class Verification:
    """Keeps the verifier's targets up to date, and reads its verdicts."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def verify(
        self, server: Server, status: Manifest, deployment: Manifest | None, service: Manifest | None
    ) -> Check | None:
        """Have a server verified from now on, as long as it has an available pod.

        Args:
            server: The server.
            status: Its stored status.
            deployment: Its live Deployment.
            service: Its live Service.

        Returns:
            The result of the last check; None before the first one, or when there is no pod.
        """
        target = target_of(server, deployment, service)
        if target is None:
            self._verifier.drop(server.key)
            return None
        self._verifier.want(server.key, target, known_good=is_verified(status))
        verdict = self._verifier.verdict(server.key)
        return check_of(verdict) if verdict else None

    def forget(self, key: Key) -> None:
        """Stop verifying a server that is gone or has an invalid spec."""
        self._verifier.drop(key)
