{{/* The operator's permissions in the namespaces that it watches. */}}
{{- define "flame-mcp-operator.rules" -}}
- apiGroups: [flamemcp.dev]
  resources: [flamemcpservers]
  verbs: [list, watch]
- apiGroups: [flamemcp.dev]
  resources: [flamemcpservers/status]
  verbs: [patch]
# Where OwnerReferencesPermissionEnforcement is on, owner references that block deletion need this.
- apiGroups: [flamemcp.dev]
  resources: [flamemcpservers/finalizers]
  verbs: [update]
# Children that every server has.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# Children that go away again when the spec no longer asks for them.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# By name only: volumes of Qdrant servers that are to grow.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, patch]
# By name only: generated tokens, and the Secrets that resources refer to.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
# list: to say why pods aren't made, can't start or get no volume, which nothing else tells. Only those about one object.
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
# To say why pods don't get ready, and how Jobs end.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- if include "flame-mcp-operator.selector" .Values.namespaceSelector }}
# To learn which namespaces have the labels of namespaceSelector.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}
{{- if .Values.httpRoutes.enabled }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, create, patch, delete]
{{- end }}
{{- if .Values.serviceMonitors.enabled }}
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, create, patch, delete]
{{- end }}
{{- end }}

{{/* The operator's permissions in its own namespace, for leader election and for its key. */}}
{{- define "flame-mcp-operator.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "flame-mcp-operator.fullname" . | quote }}]
  verbs: [get, update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [flame-mcp-operator-key]
  verbs: [get, patch]
{{- end }}
