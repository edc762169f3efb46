"""What the tool and `flame-mcp search` answer: one shape for both."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from flame_server.search import Answer, Found
from flame_server.text.budget import fit


class Result(BaseModel):
    """One passage of the docs."""

    id: str
    title: str
    breadcrumb: list[str]
    url: Annotated[str, Field(description="Link to the section on docs.flame-engine.org")]
    source_path: Annotated[str, Field(description="Markdown file, relative to the docs root")]
    content: Annotated[str, Field(description="Markdown of the section, or of a part of it")]
    score: Annotated[float, Field(description="0 to 1, comparable within this answer only")]


class IndexInfo(BaseModel):
    """Which docs were searched."""

    version: str
    versions: list[str]
    revision: str | None
    generation: str
    created: str
    documents: int
    chunks: int
    embedding: str


class Knowledge(BaseModel):
    """An answer: passages of the docs, best first."""

    results: list[Result]
    truncated: Annotated[bool, Field(description="Whether max_tokens cut something off")] = False
    degraded: Annotated[
        Literal["lexical"] | None, Field(description="'lexical' when only words were matched, not meaning")
    ] = None
    index: IndexInfo


def knowledge(
    answer: Answer, index: dict[str, Any], budget: int | None, count: Callable[[str], int]
) -> Knowledge:
    """An answer within `budget` tokens of content; None for all of it."""
    contents = [found.chunk.content for found in answer.found]
    truncated = False
    if budget is not None:
        contents, truncated = fit([(f.chunk.content, f.chunk.tokens) for f in answer.found], budget, count)
    return Knowledge(
        results=_results(answer.found, contents),
        truncated=truncated,
        degraded=answer.degraded,
        index=IndexInfo(**index),
    )


def _results(found: Sequence[Found], contents: Sequence[str]) -> list[Result]:
    # A budget may have left fewer contents than there are chunks.
    return [
        Result(
            id=hit.chunk.id,
            title=hit.chunk.title,
            breadcrumb=list(hit.chunk.breadcrumb),
            url=hit.chunk.url,
            source_path=hit.chunk.source_path,
            content=content,
            score=hit.score,
        )
        for hit, content in zip(found, contents, strict=False)
    ]
