"""The MCP tools: what they take, and what they answer."""
