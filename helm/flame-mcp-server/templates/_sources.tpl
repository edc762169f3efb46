{{/* The sources in the form that `flame-mcp index fetch` reads. Without ingestion, only the docs in the image. */}}
{{- define "flame-mcp-server.sources" -}}
{{- $found := list }}
{{- range dig "ingestion" "sources" (list (dict "name" "flame" "bundled" dict)) . }}
{{- $source := dict "name" .name }}
{{- if .git }}
{{- $_ := set $source "git" (pick .git "url" "ref" "path") }}
{{- else if .http }}
{{- $_ := set $source "http" (pick .http "url" "sha256") }}
{{- else if .configMapRef }}
{{- $_ := set $source "configMap" dict }}
{{- else if .persistentVolumeClaimRef }}
{{- $_ := set $source "persistentVolumeClaim" (pick .persistentVolumeClaimRef "path") }}
{{- else }}
{{- $_ := set $source "bundled" dict }}
{{- end }}
{{- with .siteURL }}
{{- $_ := set $source "siteURL" . }}
{{- end }}
{{- $found = append $found $source }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* The URLs that fetching connects to, as a JSON list. */}}
{{- define "flame-mcp-server.sourceUrls" -}}
{{- $urls := list }}
{{- range dig "ingestion" "sources" list . }}
{{- with .git | default .http }}
{{- $urls = append $urls .url }}
{{- end }}
{{- end }}
{{- toJson $urls }}
{{- end }}

{{/* A source's credentials as files, or nothing: a password, and the CA certificate of a private server. */}}
{{- define "flame-mcp-server.sourceFiles" -}}
{{- $remote := .git | default .http | default dict }}
{{- with $remote.credentialsSecretRef }}
- secret:
    name: {{ .name | quote }}
{{- end }}
{{- with $remote.caBundleConfigMapRef }}
- configMap:
    name: {{ .name | quote }}
    items:
      - key: {{ .key | quote }}
        path: ca.crt
{{- end }}
{{- end }}

{{- define "flame-mcp-server.sourceVolumes" -}}
{{- range $source := dig "ingestion" "sources" list . }}
{{- with include "flame-mcp-server.sourceFiles" $source }}
- name: auth-{{ $source.name }}
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- with $source.configMapRef }}
- name: docs-{{ $source.name }}
  configMap:
    name: {{ .name | quote }}
{{- end }}
{{- with $source.persistentVolumeClaimRef }}
- name: docs-{{ $source.name }}
  persistentVolumeClaim:
    claimName: {{ .claimName | quote }}
    readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{/* The mounts of those volumes. */}}
{{- define "flame-mcp-server.sourceMounts" -}}
{{- range dig "ingestion" "sources" list . }}
{{- if include "flame-mcp-server.sourceFiles" . }}
- {name: auth-{{ .name }}, mountPath: /etc/flame-mcp/sources/{{ .name }}, readOnly: true}
{{- end }}
{{- if or .configMapRef .persistentVolumeClaimRef }}
- {name: docs-{{ .name }}, mountPath: /run/flame-mcp/sources/{{ .name }}, readOnly: true}
{{- end }}
{{- end }}
{{- end }}
