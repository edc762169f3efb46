"""The web page of the server for people: what it serves, a search, and settings for AI assistants.

Start in `routes`, which adds the page to the MCP server. HTML, CSS and JavaScript are in `static`, which is
package data; the page calls the MCP tools itself. May import `settings` only.
"""
