"""An index in a Qdrant server: one collection a build, read through an alias."""
