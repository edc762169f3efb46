{{/* A Job's spec, as YAML: (dict "root" ROOT "spec" SPEC "task" "ingest" or "snapshot") */}}
{{- define "flame-mcp-server.jobSpec" -}}
{{- $spec := .spec }}
{{- $files := (include "flame-mcp-server.credentials" (merge (dict "component" "ingestion") .) | fromJson).files }}
{{- $builds := and (eq .task "ingest") (include "flame-mcp-server.builds" $spec) }}
backoffLimit: 4
activeDeadlineSeconds: {{ dig "ingestion" "deadlineSeconds" 3600 $spec | int }}
# Never two at once, not even while one is being stopped.
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
    # What the user has to change, and an index that was held back: no retry would help.
    - action: FailJob
      onExitCodes:
        operator: In
        values: [1, 2, 3]
template:
  metadata:
    labels:
      {{- include "flame-mcp-server.podLabels" (list .root "ingestion") | nindent 6 }}
      {{- if include "flame-mcp-server.usesWorkloadIdentity" $spec }}
      azure.workload.identity/use: "true"
      {{- end }}
      {{- include "flame-mcp-server.podTemplate" (list $spec "labels") | nindent 6 }}
    {{- $annotations := dig "podTemplate" "annotations" dict $spec }}
    {{- if include "flame-mcp-server.usesWorkloadIdentity" $spec }}
    {{- /* What fetches from a URL has no business with the identity. */}}
    {{- $annotations = merge (dict "azure.workload.identity/skip-containers" "fetch") $annotations }}
    {{- end }}
    {{- with $annotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    serviceAccountName: {{ include "flame-mcp-server.fullname" .root | quote }}
    automountServiceAccountToken: false
    enableServiceLinks: false
    restartPolicy: Never
    securityContext:
      {{- include "flame-mcp-server.podSecurity" (list .root 65532 65532 65532) | nindent 6 }}
    {{- include "flame-mcp-server.placement" $spec | nindent 4 }}
    {{- with include "flame-mcp-server.nodeAffinity" $spec | fromJson }}
    affinity:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if $builds }}
    initContainers:
      - {{- include "flame-mcp-server.fetch" (merge (dict "files" $files) .) | nindent 8 }}
      - {{- include "flame-mcp-server.step" (merge (dict "name" "build" "args" (include "flame-mcp-server.buildArgs" $spec | fromJsonArray) "files" $files "work" true) .) | nindent 8 }}
    {{- end }}
    containers:
      {{- if eq .task "snapshot" }}
      - {{- include "flame-mcp-server.step" (merge (dict "name" "snapshot" "args" (include "flame-mcp-server.snapshotArgs" . | fromJsonArray) "files" $files) .) | nindent 8 }}
      {{- else if $builds }}
      - {{- include "flame-mcp-server.step" (merge (dict "name" "publish" "args" (include "flame-mcp-server.publishArgs" (list . "/work/index") | fromJsonArray) "files" $files "work" true) .) | nindent 8 }}
      {{- else }}
      - {{- include "flame-mcp-server.step" (merge (dict "name" "publish" "args" (include "flame-mcp-server.publishArgs" (list . "/opt/flame-mcp/index") | fromJsonArray) "files" $files) .) | nindent 8 }}
      {{- end }}
    volumes:
      - name: tmp
        emptyDir: {sizeLimit: 1Gi}
      {{- include "flame-mcp-server.caVolume" $spec | nindent 6 }}
      {{- if $builds }}
      - name: work
        emptyDir: {sizeLimit: 4Gi}
      {{- end }}
      {{- if $files }}
      - {{- include "flame-mcp-server.credentialsVolume" $files | nindent 8 }}
      {{- end }}
      {{- if $builds }}
      {{- include "flame-mcp-server.sourceVolumes" $spec | nindent 6 }}
      {{- end }}
{{- end }}

{{/* Whether there is something to build. If not, the docs in the image already have embeddings from the image's model. */}}
{{- define "flame-mcp-server.builds" -}}
{{- $builds := not (has .embedding.type (list "Local" "None")) }}
{{- range dig "ingestion" "sources" list . }}
{{- if not (hasKey . "bundled") }}
{{- $builds = true }}
{{- end }}
{{- end }}
{{- if $builds }}true{{ end }}
{{- end }}

{{- define "flame-mcp-server.buildArgs" -}}
{{- $names := dict "Local" "local" "None" "none" "AzureOpenAI" "azure-openai" "OpenAI" "openai" }}
{{- list "index" "build" "--fetched" "/work/sources" "--out" "/work/index" "--embedding" (get $names .embedding.type) "--reuse" "/opt/flame-mcp/index" "--reuse-qdrant" | toJson }}
{{- end }}

{{- define "flame-mcp-server.publishArgs" -}}
{{- $context := index . 0 }}
{{- $spec := $context.spec }}
{{- $ratio := printf "%g" (divf (dig "ingestion" "minimumChunksPercent" 90.0 $spec) 100) }}
{{- $replicas := dig "managed" "replicas" 1 $spec.vectorStore | int | toString }}
{{- $args := list "index" "publish" "--index" (index . 1) "--collection" (include "flame-mcp-server.collection" $context | trim) "--min-ratio" $ratio "--canary" $spec.verification.query "--replicas" $replicas }}
{{- if eq $spec.vectorStore.type "External" }}
{{- $args = concat $args (list "--owner" (printf "%s/%s" $context.root.Release.Namespace (include "flame-mcp-server.fullname" $context.root))) }}
{{- end }}
{{- with dig "ingestion" "takeOver" "" $spec }}
{{- $args = concat $args (list "--take-over" .) }}
{{- end }}
{{- toJson $args }}
{{- end }}

{{/* Each node of a Qdrant cluster stores and counts its own snapshots, so always use the same node. It has a copy of everything. */}}
{{- define "flame-mcp-server.snapshotArgs" -}}
{{- $name := include "flame-mcp-server.fullname" .root }}
{{- $node := printf "--qdrant=http://%s-qdrant-0.%s-qdrant-headless.%s.svc:6333" $name $name .root.Release.Namespace }}
{{- list "index" "snapshot" "--collection" "flame-docs" $node "--keep" (int .spec.vectorStore.managed.snapshots.keep | toString) | toJson }}
{{- end }}

{{/* A container: (dict "root" ROOT "spec" SPEC "name" NAME "args" ARGS "files" FILES ["work" true]) */}}
{{- define "flame-mcp-server.step" -}}
{{- include "flame-mcp-server.stepHead" . }}
env:
  {{- $settings := include "flame-mcp-server.vectorSettings" . | fromJson }}
  {{- with include "flame-mcp-server.caSetting" .spec }}
  {{- $_ := set $settings "CA_FILE" . }}
  {{- end }}
  {{- range $name, $value := include "flame-mcp-server.variables" (merge (dict "RESULT_FILE" "/dev/termination-log") $settings) | fromJson }}
  - name: {{ $name | quote }}
    value: {{ include "flame-mcp-server.literal" $value | toJson }}
  {{- end }}
  {{- include "flame-mcp-server.wayOutVariables" (dict "spec" .spec "job" true "domain" .root.Values.clusterDomain) | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- include "flame-mcp-server.caMount" .spec | nindent 2 }}
  {{- if .work }}
  - {name: work, mountPath: /work}
  {{- end }}
  {{- if .files }}
  - {{- include "flame-mcp-server.credentialsMount" . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The container that connects to the sources. It has their credentials and no others. */}}
{{- define "flame-mcp-server.fetch" -}}
{{- include "flame-mcp-server.stepHead" (merge (dict "name" "fetch" "args" (list "index" "fetch" "--out" "/work/sources")) .) }}
env:
  {{- with include "flame-mcp-server.caSetting" .spec }}
  - {name: FLAME_MCP_CA_FILE, value: {{ . }}}
  {{- end }}
  - {name: FLAME_MCP_RESULT_FILE, value: /dev/termination-log}
  {{- include "flame-mcp-server.wayOutVariables" (dict "spec" .spec "job" true "domain" .root.Values.clusterDomain) | nindent 2 }}
  - name: FLAME_MCP_SOURCES
    value: {{ include "flame-mcp-server.sources" .spec | fromJsonArray | toRawJson | include "flame-mcp-server.literal" | toJson }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- include "flame-mcp-server.caMount" .spec | nindent 2 }}
  - {name: work, mountPath: /work}
  {{- /* Only here: who writes to a volume must not reach the container that holds the keys. */}}
  {{- include "flame-mcp-server.sourceMounts" .spec | nindent 2 }}
{{- end }}

{{- define "flame-mcp-server.stepHead" -}}
name: {{ .name | quote }}
{{ include "flame-mcp-server.imageFields" (list .spec (include "flame-mcp-server.image" .)) }}
args:
  {{- range .args }}
  - {{ include "flame-mcp-server.literal" . | toJson }}
  {{- end }}
resources:
  {{- include "flame-mcp-server.resources" (list (dig "ingestion" "resources" dict .spec) (dict "cpu" "100m" "memory" "256Mi" "ephemeral-storage" "256Mi") (dict "cpu" "1" "memory" "1Gi" "ephemeral-storage" "4Gi")) | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "flame-mcp-server.containerSecurity" . | nindent 2 }}
{{- end }}
