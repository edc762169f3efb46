"""Reads and writes Kubernetes' text formats: times, cron schedules, quantities, and bounded texts.

Start in the module of the format: `times`, `cron`, `quantity`, `text`; `shape` reads JSON of unknown shape.
Pure functions that know nothing about this operator. May import no other room.
"""
