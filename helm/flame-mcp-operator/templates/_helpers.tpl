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

{{- define "flame-mcp-operator.ownLabels" -}}
{{ include "flame-mcp-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: flame-mcp
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An object's metadata: (dict "context" . "name" NAME), with optional "namespace", "labels" and "annotations". The chart's own labels take
precedence. Set "component" if the object isn't the operator's, so that selectors for the operator's pods don't match it. */}}
{{- define "flame-mcp-operator.metadata" -}}
{{- $values := .context.Values -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- include "flame-mcp-operator.labels" . | nindent 2 }}
{{- with merge dict (.annotations | default dict) $values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flame-mcp-operator.labels" -}}
{{- $own := include "flame-mcp-operator.ownLabels" .context | fromYaml }}
{{- with .component }}
{{- $_ := set $own "app.kubernetes.io/component" . }}
{{- $_ := set $own "app.kubernetes.io/name" (printf "flame-mcp-%s" .) }}
{{- end }}
{{- toYaml (merge $own (.labels | default dict) .context.Values.commonLabels) }}
{{- end }}

{{/* The names in a list of {name}, comma-separated. */}}
{{- define "flame-mcp-operator.names" -}}
{{- $names := list }}
{{- range . }}
{{- $names = append $names .name }}
{{- end }}
{{- join "," $names }}
{{- end }}

{{/* A name that is a valid DNS label for any release name: (list CONTEXT SUFFIX MAXIMUM_LENGTH) */}}
{{- define "flame-mcp-operator.dnsLabel" -}}
{{- $name := include "flame-mcp-operator.fullname" (index . 0) | replace "." "-" }}
{{- if regexMatch "^[0-9]" $name }}
{{- $name = printf "n%s" $name }}
{{- end }}
{{- $room := sub (index . 2) (len (index . 1)) | int }}
{{- printf "%s%s" ($name | trunc $room | trimSuffix "-") (index . 1) }}
{{- end }}

{{/* The name of the metrics Service, which is also the job label of its series. */}}
{{- define "flame-mcp-operator.metricsName" -}}
{{- include "flame-mcp-operator.dnsLabel" (list . "-metrics" 63) }}
{{- end }}

{{/* The namespace of search servers that don't set one. */}}
{{- define "flame-mcp-operator.serversNamespace" -}}
{{- first .Values.watchNamespaces | default .Release.Namespace }}
{{- end }}

{{/* The name of helm test's server. A FlameMCPServer's name may have at most 40 characters. */}}
{{- define "flame-mcp-operator.testName" -}}
{{- include "flame-mcp-operator.dnsLabel" (list . "-test" 40) }}
{{- end }}

{{- define "flame-mcp-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "flame-mcp-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* An image reference from {repository, tag, digest}: (list ROOT IMAGE). global.imageRegistry replaces the repository's registry. */}}
{{- define "flame-mcp-operator.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- $repository := $image.repository }}
{{- with ($root.Values.global | default dict).imageRegistry }}
{{- $repository = printf "%s/%s" . (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") }}
{{- end }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default $root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* A label selector as `kubectl get -l` takes it; empty if it selects everything. */}}
{{- define "flame-mcp-operator.selector" -}}
{{- $terms := list }}
{{- range $name, $value := .matchLabels }}
{{- $terms = append $terms (printf "%s=%s" $name $value) }}
{{- end }}
{{- range .matchExpressions }}
{{- if has .operator (list "In" "NotIn") }}
{{- $terms = append $terms (printf "%s %s (%s)" .key (lower .operator) (join "," .values)) }}
{{- else }}
{{- $terms = append $terms (printf "%s%s" (eq .operator "Exists" | ternary "" "!") .key) }}
{{- end }}
{{- end }}
{{- join "," $terms }}
{{- end }}

{{/* The operator's settings, as environment variables. */}}
{{- define "flame-mcp-operator.env" -}}
- name: FLAME_OPERATOR_SERVER_IMAGE
  value: {{ include "flame-mcp-operator.image" (list $ .Values.server.image) | quote }}
- name: FLAME_OPERATOR_QDRANT_IMAGE
  value: {{ include "flame-mcp-operator.image" (list $ .Values.qdrant.image) | quote }}
{{- with .Values.server.imagePullSecrets }}
- name: FLAME_OPERATOR_IMAGE_PULL_SECRETS
  value: {{ include "flame-mcp-operator.names" . | quote }}
{{- end }}
- name: FLAME_OPERATOR_DNS_PORTS
  value: {{ join "," .Values.dnsPorts | quote }}
{{- with .Values.server.egress }}
{{- with .proxy.http }}
- name: FLAME_OPERATOR_HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .proxy.https }}
- name: FLAME_OPERATOR_HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .proxy.noProxy }}
- name: FLAME_OPERATOR_NO_PROXY
  value: {{ join "," . | quote }}
{{- end }}
{{- with .caBundleConfigMapRef.name }}
- name: FLAME_OPERATOR_CA_BUNDLE_CONFIG_MAP
  value: {{ . | quote }}
- name: FLAME_OPERATOR_CA_BUNDLE_KEY
  value: {{ $.Values.server.egress.caBundleConfigMapRef.key | quote }}
{{- end }}
{{- end }}
{{- with .Values.server.labels }}
- name: FLAME_OPERATOR_CHILD_LABELS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .Values.server.annotations }}
- name: FLAME_OPERATOR_CHILD_ANNOTATIONS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .Values.server.podLabels }}
- name: FLAME_OPERATOR_POD_LABELS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .Values.server.podAnnotations }}
- name: FLAME_OPERATOR_POD_ANNOTATIONS
  value: {{ toJson . | quote }}
{{- end }}
- name: FLAME_OPERATOR_FIXED_USERS
  value: {{ not .Values.openshift.enabled | quote }}
- name: FLAME_OPERATOR_INGESTION_PARALLELISM
  value: {{ .Values.ingestionParallelism | quote }}
- name: FLAME_OPERATOR_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
- name: FLAME_OPERATOR_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: FLAME_OPERATOR_RESYNC_SECONDS
  value: {{ .Values.resyncSeconds | quote }}
- name: FLAME_OPERATOR_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: FLAME_OPERATOR_POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: FLAME_OPERATOR_LEASE_NAME
  value: {{ include "flame-mcp-operator.fullname" . | quote }}
{{- with .Values.operatorClass }}
- name: FLAME_OPERATOR_OPERATOR_CLASS
  value: {{ . | quote }}
{{- end }}
{{- with include "flame-mcp-operator.selector" .Values.namespaceSelector }}
- name: FLAME_OPERATOR_NAMESPACE_SELECTOR
  value: {{ . | quote }}
{{- end }}
{{- with .Values.excludeNamespaces }}
- name: FLAME_OPERATOR_EXCLUDE_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.identity }}
- name: FLAME_OPERATOR_IDENTITY
  value: {{ . | quote }}
{{- end }}
- name: FLAME_OPERATOR_METRICS_PORT
  value: {{ .Values.metricsPort | quote }}
- name: FLAME_OPERATOR_VERIFICATIONS_PER_SECOND
  value: {{ .Values.verificationsPerSecond | quote }}
- name: FLAME_OPERATOR_REFERENCE_POLL_SECONDS
  value: {{ .Values.referencePollSeconds | quote }}
- name: FLAME_OPERATOR_ROLLOUT_PARALLELISM
  value: {{ .Values.rolloutParallelism | quote }}
- name: FLAME_OPERATOR_EVENTS_PER_SECOND
  value: {{ .Values.eventsPerSecond | quote }}
- name: FLAME_OPERATOR_CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain | quote }}
- name: FLAME_OPERATOR_HTTP_ISSUERS
  value: {{ .Values.httpIssuers.enabled | quote }}
- name: FLAME_OPERATOR_HTTP_ROUTES
  value: {{ .Values.httpRoutes.enabled | quote }}
- name: FLAME_OPERATOR_SERVICE_MONITORS
  value: {{ .Values.serviceMonitors.enabled | quote }}
{{- end }}
