{{/* The alerts, one rule each, without the fields that all of them share. SERIES stands for this operator's series. The counters in the
expressions start at 0, so that increase() sees the first increment. Only api_requests_total can't start at 0. */}}
{{- define "flame-mcp-operator.alerts" -}}
FlameOperatorDown:
  expr: absent(flame_operator_leader{SERIES})
  for: 5m
  severity: critical
  summary: No metrics of the Flame MCP operator
  description: Prometheus reads no pod of the operator, so nothing is known of it. Search servers go on, but no change of a FlameMCPServer has an effect if the operator is down.
FlameOperatorNoLeader:
  expr: sum(flame_operator_leader{SERIES}) == 0
  for: 2m
  severity: critical
  summary: No pod of the Flame MCP operator leads
  description: Its pods run and none of them works. No change of a FlameMCPServer has an effect.
FlameOperatorSeveralLeaders:
  expr: sum(flame_operator_leader{SERIES}) > 1
  for: 2m
  severity: critical
  summary: Several pods of the Flame MCP operator lead
  description: "{{ "{{ $value }}" }} pods work at once, and may undo each other's writes."
FlameOperatorQueueSlow:
  expr: max(flame_operator_queue_oldest_age_seconds{SERIES}) > 60
  for: 10m
  severity: warning
  summary: The Flame MCP operator is behind
  description: "A FlameMCPServer has waited for {{ "{{ $value | humanizeDuration }}" }}; changes take effect that much later."
FlameOperatorReconcilesSlow:
  expr: histogram_quantile(0.99, sum by (le) (rate(flame_operator_reconcile_duration_seconds_bucket{SERIES}[10m]))) > 10
  for: 15m
  severity: warning
  summary: Passes of the Flame MCP operator are slow
  description: "One in a hundred passes over a FlameMCPServer takes longer than {{ "{{ $value | humanizeDuration }}" }}."
FlameOperatorBug:
  expr: sum(increase(flame_operator_reconciles_total{SERIES,result="bug"}[15m])) > 0
  severity: warning
  summary: The Flame MCP operator failed in a way that nobody foresaw
  description: Its log has a traceback. It tries again, but the resource may not get what it asks for.
FlameOperatorForbidden:
  # A series that is new counts as well.
  expr: >-
    sum by (verb, resource) (increase(flame_operator_api_requests_total{SERIES,code="403"}[15m]) > 0
    or (flame_operator_api_requests_total{SERIES,code="403"} unless flame_operator_api_requests_total{SERIES,code="403"} offset 15m)) > 0
  for: 10m
  severity: warning
  summary: The API server refuses the Flame MCP operator
  description: "It may not {{ "{{ $labels.verb }} {{ $labels.resource }}" }}: a right is missing, or a quota is used up."
FlameOperatorApiErrors:
  expr: >-
    sum(rate(flame_operator_api_requests_total{SERIES,code=~"none|429|5.."}[10m]))
    / sum(rate(flame_operator_api_requests_total{SERIES}[10m])) > 0.1
  for: 10m
  severity: warning
  summary: Requests of the Flame MCP operator fail
  description: "{{ "{{ $value | humanizePercentage }}" }} of its requests to the API server have no answer or one that says to try later."
FlameOperatorSweepsLate:
  # A pod that stands by makes no sweeps.
  expr: (time() - flame_operator_last_sweep_timestamp_seconds{SERIES} > {{ mul 3 .Values.resyncSeconds }}) and flame_operator_leader{SERIES} == 1
  for: 10m
  severity: warning
  summary: The Flame MCP operator can't list everything
  description: Three full passes in a row are missing, so that what a broken watch misses is not found.
FlameOperatorWatchBroken:
  expr: sum(increase(flame_operator_sweep_missed_total{SERIES}[1h])) > 5
  severity: warning
  summary: The Flame MCP operator's watch misses changes
  description: "Full passes found {{ "{{ $value | humanize }}" }} resources changed in an hour of which no event told. They took effect late."
FlameServersNotReady:
  expr: sum(flame_operator_resources{SERIES,ready!="True"}) / sum(flame_operator_resources{SERIES}) > 0.2
  for: 30m
  severity: warning
  summary: Many FlameMCPServers aren't Ready
  description: "{{ "{{ $value | humanizePercentage }}" }} of the search servers don't answer."
FlameIndexesStale:
  expr: max(flame_operator_indexes_stale{SERIES}) > 0
  for: 1h
  severity: warning
  summary: Search servers answer from old docs
  description: "{{ "{{ $value }}" }} indexes are older than twice the interval of their schedule."
FlameIngestionsFailing:
  expr: sum(increase(flame_operator_ingestions_total{SERIES,result=~"world|internal"}[1h])) > 3
  severity: warning
  summary: Docs can't be loaded
  description: "{{ "{{ $value | humanize }}" }} runs in an hour failed for a reason that no tenant can mend."
FlameRolloutsWaiting:
  expr: max(flame_operator_rollouts_waiting{SERIES}) > 0
  for: 1h
  severity: warning
  summary: Rollouts of search servers wait
  description: "{{ "{{ $value }}" }} servers have waited for an hour to get a Secret or ConfigMap that changed."
FlameEventsDropped:
  expr: sum(increase(flame_operator_events_total{SERIES,result=~"dropped|failed"}[15m])) > 100
  for: 15m
  severity: info
  summary: The Flame MCP operator writes too few Events
  description: "{{ "{{ $value | humanize }}" }} Events in 15 minutes were dropped or refused. Status and metrics are right all the same."
{{- end }}
