"""Looking at a server from outside, for `flame-mcp check`, `ask` and `healthcheck`.

`connections` tries every connection that the settings ask for; `client` talks to a running server. This is a
room of its own, apart from `commands`, so that the logic can be used and tested without click, and above
`serving`, because a check uses the server's own way of opening indexes and verifying tokens.
"""
