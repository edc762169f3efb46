"""The Flame MCP operator: runs a docs-search server for each FlameMCPServer resource."""
