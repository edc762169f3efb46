{{- define "flame-mcp-server.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name }}
{{- end }}
{{- end }}

{{/* The selector labels for the pods of a component, the same as the operator's: (list ROOT COMPONENT) */}}
{{- define "flame-mcp-server.selectorLabels" -}}
app.kubernetes.io/name: flame-mcp-{{ index . 1 }}
app.kubernetes.io/instance: {{ include "flame-mcp-server.fullname" (index . 0) | quote }}
{{- end }}

{{/* The labels of pods. They don't include the chart's version, because an upgrade that changes no server must not restart one. */}}
{{- define "flame-mcp-server.podLabels" -}}
{{ include "flame-mcp-server.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/part-of: flame-mcp
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The user's labels or annotations of pods, as YAML or nothing: (list SPEC "labels" or "annotations") */}}
{{- define "flame-mcp-server.podTemplate" -}}
{{- with dig "podTemplate" (index . 1) dict (index . 0) }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.labels" -}}
{{ include "flame-mcp-server.podLabels" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end }}

{{/*
The metadata of an object: (list ROOT COMPONENT SUFFIX [ANNOTATIONS [LABELS]]). The user's labels never override the chart's; those of the
object win over those of all objects.
*/}}
{{- define "flame-mcp-server.metadata" -}}
{{- $root := index . 0 }}
name: {{ printf "%s%s" (include "flame-mcp-server.fullname" $root) (index . 2) | quote }}
namespace: {{ $root.Release.Namespace | quote }}
{{- $labels := include "flame-mcp-server.labels" (list $root (index . 1)) | fromYaml }}
{{- $given := gt (len .) 4 | ternary (last .) dict }}
{{- include "flame-mcp-server.ofAll" (list $root (merge $labels $given) (gt (len .) 3 | ternary (index (append . dict) 3) dict)) }}
{{- end }}

{{/* Labels and annotations with those of all objects, as YAML: (list ROOT LABELS ANNOTATIONS) */}}
{{- define "flame-mcp-server.ofAll" -}}
{{- $shared := (include "flame-mcp-server.complete" (list dict ((index . 0).Values.metadata | default dict)) | fromJson).value }}
labels:
  {{- toYaml (merge dict (index . 1) ($shared.labels | default dict)) | nindent 2 }}
{{- with merge dict (index . 2 | default dict) ($shared.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
