"""Looking at a server from outside, for `flame-mcp check`, `ask` and `healthcheck`.

`connections` tries every connection that the settings ask for; `client` talks to a running server. It is
apart from `commands`, so that the logic can be used and tested without click, and above `serving`, because a
check opens indexes and fetches the keys of issuers as the server does. May import every package but
`commands`.
"""
