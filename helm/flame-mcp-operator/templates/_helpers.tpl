{{- define "flame-mcp-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "flame-mcp-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "flame-mcp-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "flame-mcp-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flame-mcp-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "flame-mcp-operator.labels" -}}
{{ include "flame-mcp-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: flame-mcp
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "flame-mcp-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "flame-mcp-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* An image reference out of {repository, tag, digest}: (list IMAGE CHART) */}}
{{- define "flame-mcp-operator.image" -}}
{{- $image := index . 0 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 1).AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do to the objects in the namespaces that it watches. */}}
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
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
# To say why pods don't get ready, and how Jobs end.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
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

{{/* What the operator may do in its own namespace: take turns, and keep its key. */}}
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
