"""A git repository of docs over HTTPS, for tests of ingestion; without a git program."""
