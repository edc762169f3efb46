from flame_operator.informer.watch import _NoMemories


async def test_kopf_remembers_no_object() -> None:
    memories = _NoMemories()
    body = {"metadata": {"uid": "u1"}}
    first = await memories.recall(body, noticed_by_listing=True)
    assert first.noticed_by_listing
    assert await memories.recall(body) is not first
    assert list(memories.iter_all_memories()) == []
