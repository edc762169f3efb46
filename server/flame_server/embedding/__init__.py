"""Turning texts into vectors, with the local model or with a service.

Start in `identity`: the interfaces `Embedder` and `QueryEmbedder`, and which vectors may be compared. `local`
is the local model, `service` a client of an embedding service; `documents` and `queries` use it for builds
and for queries. `choice` picks what the settings ask for.

May import `text` and the top-level modules. onnxruntime and openai are imported only when they are used.
"""
