"""What an engineer can see: metrics. Logs are set up here too."""

from prometheus_client import Counter

loop_failures = Counter("wafleet_loop_failures_total", "Turns of background duties that failed", ["loop"])
