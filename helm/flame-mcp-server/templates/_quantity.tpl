{{/* A quantity's amount as a decimal number, to be used only for comparisons. */}}
{{- define "flame-mcp-server.amount" -}}
{{- $text := toString . }}
{{- $number := regexFind "^[0-9.]+" $text }}
{{- $unit := trimPrefix $number $text }}
{{- $exponents := dict "" "0" "n" "-9" "u" "-6" "m" "-3" "k" "3" "M" "6" "G" "9" "T" "12" "P" "15" "E" "18" }}
{{- $powers := dict "Ki" 1 "Mi" 2 "Gi" 3 "Ti" 4 "Pi" 5 "Ei" 6 }}
{{- if hasKey $exponents $unit }}
{{- printf "%se%s" $number (get $exponents $unit) | float64 }}
{{- else if hasKey $powers $unit }}
{{- $amount := float64 $number }}
{{- range until (get $powers $unit) }}
{{- $amount = mulf $amount 1024.0 }}
{{- end }}
{{- $amount }}
{{- else }}
{{- printf "%s%s" $number $unit | float64 }}
{{- end }}
{{- end }}

{{/*
A container's resources: (list GIVEN REQUESTS LIMITS), where REQUESTS and LIMITS are defaults. A default request never
exceeds a given limit, and a default limit is raised to a given request. A CPU limit of 0 means that there is none.
*/}}
{{- define "flame-mcp-server.resources" -}}
{{- $given := index . 0 | default dict }}
{{- $limits := dict }}
{{- $requests := dict }}
{{- range $name, $request := index . 1 }}
{{- $limit := get (index $ 2) $name }}
{{- $asked := get ($given.requests | default dict) $name }}
{{- $capped := get ($given.limits | default dict) $name }}
{{- $unlimited := and (eq $name "cpu") (hasKey ($given.limits | default dict) "cpu") (eq (float64 (include "flame-mcp-server.amount" (include "flame-mcp-server.text" $capped))) 0.0) }}
{{- if $unlimited }}
{{- $capped = "" }}
{{- end }}
{{- if $asked }}
{{- $request = include "flame-mcp-server.text" $asked }}
{{- else if $capped }}
{{- $request = include "flame-mcp-server.lesser" (list $request (include "flame-mcp-server.text" $capped)) }}
{{- end }}
{{- if $capped }}
{{- $limit = include "flame-mcp-server.text" $capped }}
{{- else if eq (include "flame-mcp-server.lesser" (list $limit $request)) $limit }}
{{- $limit = $request }}
{{- end }}
{{- $_ := set $requests $name $request }}
{{- if not $unlimited }}
{{- $_ := set $limits $name $limit }}
{{- end }}
{{- end }}
{{- toYaml (dict "requests" $requests "limits" $limits) }}
{{- end }}

{{/* An integer or a string, as a string. */}}
{{- define "flame-mcp-server.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ int64 . }}{{ end }}
{{- end }}

{{/* The smaller of two quantities, or the first one if they are equal. */}}
{{- define "flame-mcp-server.lesser" -}}
{{- $one := include "flame-mcp-server.amount" (index . 0) | float64 }}
{{- $other := include "flame-mcp-server.amount" (index . 1) | float64 }}
{{- if lt $other $one }}{{ index . 1 }}{{ else }}{{ index . 0 }}{{ end }}
{{- end }}
