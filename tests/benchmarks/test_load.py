"""The client of the server's benchmark: one process for all loads."""

import pytest

from benchmarks.server import processes
from benchmarks.server.load import Job
from tests.harness.errors import HarnessError
from tests.support.server.evil_http import answer, answering


def test_one_process_does_one_job_after_the_other_and_tells_why_it_failed() -> None:
    with (
        processes.client(None) as client,
        answering(answer(b'{"isError":false}')) as server,
        answering(answer(b'{"isError":true}')) as refusing,
    ):
        for clients in (1, 4):
            outcome = client.load(Job(f"{server.url}/mcp", ["Camera"], 0.2, clients=clients))
            assert outcome.calls > 0
            assert outcome.answer_bytes == len(b'{"isError":false}')
        assert client.process.poll() is None
        with pytest.raises(HarnessError, match="RefusedError"):
            client.load(Job(f"{refusing.url}/mcp", ["Camera"], 0.2))
