"""Exposes metrics, health and logs of the operator itself to the people who run it.

Start in `metrics`, which has every Prometheus series. `health` answers the kubelet's probes of the
operator's own pod, and says when the operator has to be restarted. `http_server` serves both, to clients that
may mean harm. `logs` sets up logging.

May import `resource`, for the keys (namespace and name) of resources.
"""
