"""The test files that take longest. They come first, so that all workers end at about the same time."""

LONG = (
    "tests/flame_server/search/test_flame_quality.py",
    "tests/flame_server/serving/test_bad_input.py",
    "tests/benchmarks/test_server_benchmark.py",
    "tests/flame_server/serving/test_page_browser.py",
    "tests/attacks/server/test_slow_connections.py",
    "tests/attacks/operator/test_listeners.py",
    "tests/cluster/test_crash_safety.py",
    "tests/cluster/test_harmless.py",
    "tests/cluster/test_high_availability.py",
    "tests/cluster/test_watch_faults.py",
    "tests/charts/test_one_truth.py",
    "tests/cluster/test_two_installations.py",
    "tests/cluster/test_chart_lifecycle.py",
    "tests/cluster/test_child_lifecycle.py",
    "tests/cluster/test_control_plane.py",
    "tests/cluster/test_benchmark.py",
    "tests/cluster/test_neighbours.py",
    "tests/cluster/test_write_faults.py",
)
