"""Exposes the operator's metrics, health probes and logs to the people who run it.

`metrics` defines every series, `health` serves probes and metrics over HTTP and decides when the process has
to be restarted, and `logs` sets up logging.

May import `resource` for keys. Start with `metrics`.
"""
