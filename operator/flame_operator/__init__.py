"""Flame MCP's operator: turns each FlameMCPServer into a running search server."""
