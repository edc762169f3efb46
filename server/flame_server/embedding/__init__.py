"""Turns texts into vectors, with the local model or with an embedding service.

Start in `identity`: the interfaces `Embedder` and `QueryEmbedder`, and which vectors may be compared.
`local` is the local model. `service` is the client of services with OpenAI's API, and `entra` signs in to
Azure; another API becomes a module beside them, and `choice` picks what the settings ask for. `protocol`
reads what services answer. `documents` and `queries` embed for builds and for queries; `circuit_breaker`
leaves out a service that keeps failing, and `errors` are those of services.

May import `text` and the top-level modules. onnxruntime and openai are imported only when they are used.
"""
