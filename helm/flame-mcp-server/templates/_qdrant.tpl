{{/* The keys in the form that a Secret stores, as JSON. */}}
{{- define "flame-mcp-server.qdrantKeys" -}}
{{- with .Values.secrets.qdrant }}
{{- toJson (dict "api-key" (b64enc .apiKey) "read-only-api-key" (b64enc .readOnlyApiKey)) }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.qdrantPorts" -}}
- {protocol: TCP, port: 6333}
- {protocol: TCP, port: 6334}
- {protocol: TCP, port: 6335}
{{- end }}

{{/* An environment variable from the Secret with Qdrant's keys: (list ROOT VARIABLE KEY) */}}
{{- define "flame-mcp-server.qdrantKeyVariable" -}}
name: {{ index . 1 }}
valueFrom:
  secretKeyRef:
    name: {{ include "flame-mcp-server.qdrantSecret" (index . 0) | quote }}
    key: {{ index . 2 }}
{{- end }}
