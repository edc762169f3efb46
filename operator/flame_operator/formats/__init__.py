"""How Kubernetes writes things as text: times, cron schedules, quantities, and messages of bounded length.

Pure functions that know nothing of this operator. May import no other room.
"""
