"""The MCP tools and resources: which arguments they take and what they answer.

Start in `registry`, which registers them with their names, texts and schemas. `knowledge`, `page` and
`listing` answer one tool each; `arguments` checks arguments, `cursors` continues long answers and `budget`
cuts answers to a number of tokens; `worker` is the thread that puts them together.

May import `search`, `index`, `docs`, `text` and `settings`. Errors of the caller are `ToolError`s in plain
words.
"""
