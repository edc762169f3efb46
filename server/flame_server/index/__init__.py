"""The index: built from docs, kept as plain files, searched in the embedded Qdrant engine."""
