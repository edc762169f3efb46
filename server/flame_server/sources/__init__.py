"""Bringing docs from where they are to where an index is built: git, archives, and what is mounted."""
