"""A server that speaks the part of Qdrant's REST that the product uses, over the client's own engine.

For tests alone, where no Qdrant can be had. One process, which may play a whole cluster (`peers`).
"""
