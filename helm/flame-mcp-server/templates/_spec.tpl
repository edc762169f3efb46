{{/*
The spec of a FlameMCPServer as the values give it, as JSON. `mode` determines `vectorStore` if it isn't set.
*/}}
{{- define "flame-mcp-server.given" -}}
{{- $values := omit .Values "global" "mode" "operator" "secrets" "dnsPorts" "openshift" "httpIssuers" "nameOverride" "fullnameOverride" "clusterDomain" }}
{{- $spec := (include "flame-mcp-server.complete" (list dict $values) | fromJson).value }}
{{- $store := $spec.vectorStore | default dict }}
{{- if and (ne .Values.mode "standalone") (not $store.type) }}
{{- $_ := set $spec "vectorStore" (merge (dict "type" "Managed") $store) }}
{{- end }}
{{- toJson $spec }}
{{- end }}

{{/* The spec with all defaults, as the API server would store it, as JSON. Fails with a message that says what to correct. */}}
{{- define "flame-mcp-server.spec" -}}
{{- $spec := include "flame-mcp-server.given" . | fromJson }}
{{- if and (eq (dig "vectorStore" "type" "" $spec) "Managed") (not $spec.vectorStore.managed) }}
{{- $_ := set $spec.vectorStore "managed" dict }}
{{- end }}
{{- $spec = merge $spec (dict "resources" dict "scheduling" dict "serviceAccount" dict) }}
{{- $defaults := .Files.Get "files/defaults.json" | fromJson }}
{{- $spec = (include "flame-mcp-server.complete" (list $defaults $spec) | fromJson).value }}
{{- include "flame-mcp-server.check" (dict "root" . "spec" $spec) }}
{{- toJson $spec }}
{{- end }}

{{/*
A value without nulls and with the defaults of a tree: (list TREE VALUE), as {"value": ...}.
docs/server_values.py extracts the tree from the CRD: `properties`, `items`, `default`.
*/}}
{{- define "flame-mcp-server.complete" -}}
{{- $tree := index . 0 }}
{{- $value := index . 1 }}
{{- if kindIs "map" $value }}
{{- $found := dict }}
{{- $properties := $tree.properties | default dict }}
{{- range $name, $below := $properties }}
{{- if and (hasKey $below "default") (not (hasKey $value $name)) }}
{{- $_ := set $found $name (include "flame-mcp-server.complete" (list $below $below.default) | fromJson).value }}
{{- end }}
{{- end }}
{{- range $name, $item := $value }}
{{- if not (kindIs "invalid" $item) }}
{{- $below := get $properties $name | default dict }}
{{- $_ := set $found $name (include "flame-mcp-server.complete" (list $below $item) | fromJson).value }}
{{- end }}
{{- end }}
{{- toJson (dict "value" $found) }}
{{- else if kindIs "slice" $value }}
{{- $found := list }}
{{- range $value }}
{{- $found = append $found (include "flame-mcp-server.complete" (list ($tree.items | default dict) .) | fromJson).value }}
{{- end }}
{{- toJson (dict "value" $found) }}
{{- else }}
{{- toJson (dict "value" $value) }}
{{- end }}
{{- end }}

{{/*
A value of a Kubernetes type without empty fields that have no meaning, as {"value": ...}. Selectors stay, because an empty selector
matches everything, while an absent one means something else.
*/}}
{{- define "flame-mcp-server.pruned" -}}
{{- $value := . }}
{{- if kindIs "map" $value }}
{{- $found := dict }}
{{- $idle := list "matchLabels" "matchExpressions" "matchFields" "values" "namespaces" "except" "policies" "requiredDuringSchedulingIgnoredDuringExecution" "preferredDuringSchedulingIgnoredDuringExecution" }}
{{- range $name, $item := $value }}
{{- if not (and (has $name $idle) (empty $item)) }}
{{- $_ := set $found $name (include "flame-mcp-server.pruned" $item | fromJson).value }}
{{- end }}
{{- end }}
{{- toJson (dict "value" $found) }}
{{- else if kindIs "slice" $value }}
{{- $found := list }}
{{- range $value }}
{{- $found = append $found (include "flame-mcp-server.pruned" . | fromJson).value }}
{{- end }}
{{- toJson (dict "value" $found) }}
{{- else }}
{{- toJson (dict "value" $value) }}
{{- end }}
{{- end }}

{{/* Whether Jobs load docs into the vector store. */}}
{{- define "flame-mcp-server.loads" -}}
{{- if or (eq .vectorStore.type "Managed") .ingestion }}true{{ end }}
{{- end }}
