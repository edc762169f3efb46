"""What the operator tells those who run it: metrics, probes, logs.

`metrics` has every series, `health` serves probes and metrics over HTTP and decides when a restart is
due, `logs` sets up logging.

May import `resource` for keys. Start with `metrics`.
"""
