"""Reads and writes Kubernetes' text formats: times, cron schedules, quantities, and bounded messages.

Pure functions that know nothing about this operator. May import no other room.
"""
