"""Texts to vectors: the model in this process, or a service's."""
