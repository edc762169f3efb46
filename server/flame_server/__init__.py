"""Flame MCP's search server: answers questions about the Flame game engine from its docs."""
