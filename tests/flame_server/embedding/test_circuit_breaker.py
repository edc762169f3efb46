from flame_server.embedding.circuit_breaker import CircuitBreaker
from tests.support.server.asgi import Clock


def test_the_breaker_opens_tries_and_closes() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for _ in range(3):
        assert breaker.admits()
        breaker.failed()
    assert not breaker.admits()
    clock.now += 5
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.failed()
    clock.now += 9
    assert not breaker.admits()
    clock.now += 1
    assert breaker.admits()
    breaker.succeeded()
    assert [breaker.admits() for _ in range(3)] == [True] * 3
