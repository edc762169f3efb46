{{- define "flame-mcp-server.image" -}}
{{- .spec.image | default (include "flame-mcp-server.mirrored" (list .root (printf "flame-mcp/server:%s" .root.Chart.AppVersion))) }}
{{- end }}

{{/* An image without a registry, at the one that global.imageRegistry names: (list ROOT IMAGE) */}}
{{- define "flame-mcp-server.mirrored" -}}
{{- with ((index . 0).Values.global | default dict).imageRegistry }}{{ . }}/{{ end }}{{ index . 1 }}
{{- end }}

{{/* The image fields of a container: (list SPEC IMAGE) */}}
{{- define "flame-mcp-server.imageFields" -}}
image: {{ index . 1 | quote }}
{{- with (index . 0).imagePullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The security context of pods, with the users of their image unless the platform assigns them: (list ROOT USER GROUP VOLUME_GROUP), where
VOLUME_GROUP may be 0 for none. */}}
{{- define "flame-mcp-server.podSecurity" -}}
runAsNonRoot: true
{{- if not (index . 0).Values.openshift.enabled }}
runAsUser: {{ index . 1 }}
runAsGroup: {{ index . 2 }}
{{- with index . 3 }}
fsGroup: {{ . }}
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The fields that every pod's spec has, or nothing: node selection, priority, pull secrets. */}}
{{- define "flame-mcp-server.placement" -}}
{{- $fields := dict }}
{{- with .scheduling.nodeSelector }}
{{- $_ := set $fields "nodeSelector" . }}
{{- end }}
{{- with .scheduling.tolerations }}
{{- $_ := set $fields "tolerations" . }}
{{- end }}
{{- with .scheduling.priorityClassName }}
{{- $_ := set $fields "priorityClassName" . }}
{{- end }}
{{- with .imagePullSecrets }}
{{- $_ := set $fields "imagePullSecrets" . }}
{{- end }}
{{- with $fields }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* The affinity to nodes, which all pods have, as {"nodeAffinity": ...} or {}. */}}
{{- define "flame-mcp-server.nodeAffinity" -}}
{{- $found := dict }}
{{- with dig "affinity" "nodeAffinity" dict .scheduling }}
{{- with (include "flame-mcp-server.pruned" . | fromJson).value }}
{{- $_ := set $found "nodeAffinity" . }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* Topology spread constraints as a YAML list: (list ROOT COMPONENT CONSTRAINTS) */}}
{{- define "flame-mcp-server.spread" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- range index . 2 }}
- labelSelector:
    matchLabels:
      {{- include "flame-mcp-server.selectorLabels" (list $root $component) | nindent 6 }}
  {{- merge . (dict "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway") | toYaml | nindent 2 }}
{{- end }}
{{- end }}

{{/* A string that Kubernetes takes literally: `$$` stands for `$`, so `$(NAME)` isn't expanded. */}}
{{- define "flame-mcp-server.literal" -}}
{{- replace "$" "$$" . }}
{{- end }}

{{- define "flame-mcp-server.tokenSecret" -}}
{{- .Values.secrets.token.existingSecret | default (include "flame-mcp-server.fullname" .) }}
{{- end }}

{{- define "flame-mcp-server.qdrantSecret" -}}
{{- .Values.secrets.qdrant.existingSecret | default (printf "%s-qdrant" (include "flame-mcp-server.fullname" .)) }}
{{- end }}

{{/*
The files that pods read, as {"files": [{"file", "kind", "name", "key"}]}: (dict "root" ROOT "spec" SPEC "component" COMPONENT).
Includes only the files that the chosen type of a union needs. Servers get Qdrant's read-only key, ingestion gets the write key.
*/}}
{{- define "flame-mcp-server.credentials" -}}
{{- $root := .root }}
{{- $spec := .spec }}
{{- $files := list }}
{{- if and (eq .component "server") (eq $spec.auth.type "Bearer") }}
{{- $token := dig "bearer" "tokenSecretRef" (dict "name" (include "flame-mcp-server.tokenSecret" $root) "key" "token") $spec.auth }}
{{- $files = append $files (merge (dict "file" "auth-token" "kind" "secret") $token) }}
{{- end }}
{{- $key := dict }}
{{- if eq $spec.embedding.type "AzureOpenAI" }}
{{- $key = $spec.embedding.azureOpenAI.apiKeySecretRef }}
{{- else if eq $spec.embedding.type "OpenAI" }}
{{- $key = $spec.embedding.openAI.apiKeySecretRef }}
{{- end }}
{{- with $key }}
{{- $files = append $files (merge (dict "file" "embedding-api-key" "kind" "secret") .) }}
{{- end }}
{{- if eq $spec.vectorStore.type "Managed" }}
{{- $key := eq .component "server" | ternary "read-only-api-key" "api-key" }}
{{- $files = append $files (dict "file" "qdrant-api-key" "kind" "secret" "name" (include "flame-mcp-server.qdrantSecret" $root) "key" $key) }}
{{- else if eq $spec.vectorStore.type "External" }}
{{- with $spec.vectorStore.external.apiKeySecretRef }}
{{- $files = append $files (merge (dict "file" "qdrant-api-key" "kind" "secret") .) }}
{{- end }}
{{- with $spec.vectorStore.external.caBundleConfigMapRef }}
{{- $files = append $files (merge (dict "file" "qdrant-ca.crt" "kind" "configMap") .) }}
{{- end }}
{{- end }}
{{- toJson (dict "files" $files) }}
{{- end }}

{{/* The volume with these files. Environment variables would end up in crash reports. */}}
{{- define "flame-mcp-server.credentialsVolume" -}}
name: credentials
projected:
  defaultMode: 0440
  sources:
    {{- range . }}
    - {{ .kind }}:
        name: {{ .name | quote }}
        items:
          - key: {{ .key | quote }}
            path: {{ .file | quote }}
    {{- end }}
{{- end }}

{{/* The volume with the certificates to trust besides the public ones, and its mount; nothing if there are none. */}}
{{- define "flame-mcp-server.caVolume" -}}
{{- with dig "egress" "caBundleConfigMapRef" dict . }}
- name: ca
  projected:
    sources:
      - configMap:
          name: {{ .name | quote }}
          items:
            - key: {{ .key | quote }}
              path: ca.crt
{{- end }}
{{- end }}

{{- define "flame-mcp-server.caMount" -}}
{{- if dig "egress" "caBundleConfigMapRef" dict . }}
- {name: ca, mountPath: /etc/flame-mcp/ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.caSetting" -}}
{{- if dig "egress" "caBundleConfigMapRef" dict . }}/etc/flame-mcp/ca/ca.crt{{ end }}
{{- end }}

{{- define "flame-mcp-server.credentialsMount" -}}
name: credentials
mountPath: /etc/flame-mcp/credentials
readOnly: true
{{- end }}

{{/* The path at which a container finds one of these files, or nothing: (list FILES FILE) */}}
{{- define "flame-mcp-server.credentialsPath" -}}
{{- $file := index . 1 }}
{{- range index . 0 }}
{{- if eq .file $file }}/etc/flame-mcp/credentials/{{ $file }}{{ end }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.usesWorkloadIdentity" -}}
{{- if and (eq .embedding.type "AzureOpenAI") (hasKey .embedding.azureOpenAI "workloadIdentity") }}true{{ end }}
{{- end }}

{{- define "flame-mcp-server.replicas" -}}
{{- hasKey . "replicas" | ternary .replicas 2 }}
{{- end }}
