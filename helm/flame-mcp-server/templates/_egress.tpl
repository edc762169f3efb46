{{/* Egress rules for DNS lookups, wherever the cluster's DNS runs. */}}
{{- define "flame-mcp-server.dnsRule" -}}
ports:
  {{- range .Values.dnsPorts }}
  - {protocol: UDP, port: {{ int . }}}
  - {protocol: TCP, port: {{ int . }}}
  {{- end }}
{{- end }}

{{- define "flame-mcp-server.qdrantRule" -}}
to:
  - podSelector:
      matchLabels:
        {{- include "flame-mcp-server.selectorLabels" (list . "qdrant") | nindent 8 }}
ports:
  - {protocol: TCP, port: 6333}
{{- end }}

{{/* The URLs that the server's pods connect to, as {"urls": [...]}: (list SPEC). Embedding and vector store come first. */}}
{{- define "flame-mcp-server.urls" -}}
{{- $urls := (include "flame-mcp-server.vectorUrls" . | fromJson).urls }}
{{- if eq .auth.type "OIDC" }}
{{- $urls = append $urls .auth.oidc.issuer }}
{{- end }}
{{- with .observability.tracing }}
{{- $urls = append $urls .endpoint }}
{{- end }}
{{- toJson (dict "urls" $urls) }}
{{- end }}

{{/*
The environment variables that say how to get out, as a JSON list of {name, value}: (dict "spec" SPEC "job" BOOLEAN "domain" DOMAIN). All of `env` for
servers; for Jobs, only those of it that say how to get out. `env` wins over `egress.proxy`.
*/}}
{{- define "flame-mcp-server.wayOutEnv" -}}
{{- $found := list }}
{{- $taken := list }}
{{- range .spec.env }}
{{- $taken = append $taken (upper .name) }}
{{- if or (not $.job) (has (upper .name) (list "HTTP_PROXY" "HTTPS_PROXY" "ALL_PROXY" "NO_PROXY" "SSL_CERT_FILE" "SSL_CERT_DIR" "REQUESTS_CA_BUNDLE" "CURL_CA_BUNDLE")) }}
{{- $found = append $found (dict "name" .name "value" (.value | default "")) }}
{{- end }}
{{- end }}
{{- $proxy := dig "egress" "proxy" dict .spec }}
{{- if or $proxy.http $proxy.https }}
{{- $direct := list "localhost" "127.0.0.1" "::1" ".svc" (printf ".%s" .domain) }}
{{- range (include "flame-mcp-server.urls" .spec | fromJson).urls }}
{{- $url := include "flame-mcp-server.url" . | fromJson }}
{{- if not (or $url.address (contains "." $url.host) (empty $url.host)) }}
{{- $direct = append $direct $url.host }}
{{- end }}
{{- end }}
{{- $direct = concat $direct ($proxy.noProxy | default list) | uniq }}
{{- range list (list "HTTP_PROXY" $proxy.http) (list "HTTPS_PROXY" $proxy.https) (list "NO_PROXY" (join "," $direct)) }}
{{- if and (index . 1) (not (has (index . 0) $taken)) }}
{{- $found = append $found (dict "name" (index . 0) "value" (index . 1)) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* These variables as YAML or nothing. */}}
{{- define "flame-mcp-server.wayOutVariables" -}}
{{- range include "flame-mcp-server.wayOutEnv" . | fromJsonArray }}
- name: {{ .name | quote }}
  value: {{ include "flame-mcp-server.literal" .value | toJson }}
{{- end }}
{{- end }}

{{/* The URLs of the proxies, without user and password, as a JSON list. */}}
{{- define "flame-mcp-server.proxyUrls" -}}
{{- $urls := list }}
{{- range include "flame-mcp-server.wayOutEnv" (dict "spec" . "job" true "domain" "") | fromJsonArray }}
{{- if and (has (upper .name) (list "HTTP_PROXY" "HTTPS_PROXY" "ALL_PROXY")) (regexMatch "^https?://([^/@]*@)?([-A-Za-z0-9._]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/.*)?$" .value) }}
{{- $urls = append $urls (regexReplaceAll "^(https?://)([^/@]*@)?" .value "${1}") }}
{{- end }}
{{- end }}
{{- toJson $urls }}
{{- end }}

{{/* The URLs of the embedding service, of the token service that it needs, and of an external Qdrant server. */}}
{{- define "flame-mcp-server.vectorUrls" -}}
{{- $urls := list }}
{{- if eq .embedding.type "AzureOpenAI" }}
{{- $urls = append $urls .embedding.azureOpenAI.endpoint }}
{{- if hasKey .embedding.azureOpenAI "workloadIdentity" }}
{{- $urls = append $urls "https://login.microsoftonline.com" }}
{{- end }}
{{- else if eq .embedding.type "OpenAI" }}
{{- $urls = append $urls .embedding.openAI.baseURL }}
{{- end }}
{{- if eq .vectorStore.type "External" }}
{{- $urls = append $urls .vectorStore.external.url }}
{{- end }}
{{- toJson (dict "urls" $urls) }}
{{- end }}

{{/*
The egress rules for URLs, without duplicates, as a YAML list or nothing: (dict "urls" URLS "private" BOOLEAN "domain" CLUSTER_DOMAIN). A NetworkPolicy
matches addresses and labels but no host names:
- an address: only that address, at the URL's port
- a Service, `name.namespace.svc` or `name`: all pods of the namespace, because a pod's port may differ from its Service's
- another name: all public addresses at the URL's port, and private ones if `private` is true
*/}}
{{- define "flame-mcp-server.rulesFor" -}}
{{- $private := .private }}
{{- $domain := .domain }}
{{- $found := list }}
{{- range .urls }}
{{- range (include "flame-mcp-server.rulesForOne" (dict "url" . "private" $private "domain" $domain) | fromYamlArray) }}
{{- if not (has (toJson .) $found) }}
{{- $found = append $found (toJson .) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $found }}
- {{ . }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.rulesForOne" -}}
{{- $url := include "flame-mcp-server.url" .url | fromJson }}
{{- $labels := splitList "." $url.host }}
{{- $last := last $labels }}
{{- if $url.address }}
{{- if not (or (hasPrefix "127." $url.host) (eq $url.host "::1")) }}
- {"to": [{"ipBlock": {"cidr": {{ printf "%s/%s" $url.host (contains ":" $url.host | ternary "128" "32") | quote }}}}], "ports": [{"protocol": "TCP", "port": {{ $url.port }}}]}
{{- end }}
{{- else if has $last (list "" "localhost") }}
{{- /* This traffic stays inside the pod. */}}
{{- else if eq (len $labels) 1 }}
- {"to": [{"podSelector": {}}]}
{{- else }}
{{- $service := include "flame-mcp-server.serviceOf" (dict "labels" $labels "domain" .domain) | fromJson }}
{{- with $service.namespace }}
- {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": {{ . | quote }}}}}]}
{{- end }}
{{- if $service.outside }}
{{- if .private }}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        # Link-local, and where clouds tell pods their node's secrets.
        except: [169.254.0.0/16, 100.100.100.200/32, 168.63.129.16/32]
    - ipBlock:
        cidr: ::/0
        except: ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]
  ports:
    - {protocol: TCP, port: {{ $url.port }}}
{{- else }}
{{- include "flame-mcp-server.beyondCluster" (list .url) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The egress rule for public addresses, without private ones, at the ports of URLs. */}}
{{- define "flame-mcp-server.beyondCluster" -}}
{{- $ports := list }}
{{- range . }}
{{- $ports = append $ports (printf "%05d" (int (include "flame-mcp-server.url" . | fromJson).port)) }}
{{- end }}
{{- if $ports }}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 168.63.129.16/32, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
    - ipBlock:
        cidr: ::/0
        except: ["::1/128", "fc00::/7", "fe80::/10"]
  ports:
    {{- range $ports | uniq | sortAlpha }}
    - {protocol: TCP, port: {{ atoi . }}}
    {{- end }}
{{- end }}
{{- end }}

{{/* A URL's {"host", "port", "address"}. "address" says whether the host is an IP address. */}}
{{- define "flame-mcp-server.url" -}}
{{- $https := hasPrefix "https://" . }}
{{- $authority := regexReplaceAll "^https?://([^/]*).*$" . "${1}" | lower }}
{{- $host := regexReplaceAll ":[0-9]*$" $authority "" }}
{{- $port := regexFind ":[0-9]+$" $authority | trimPrefix ":" }}
{{- if regexMatch "^\\[.*\\]$" $authority }}
{{- $host = $authority }}
{{- $port = "" }}
{{- end }}
{{- $v6 := hasPrefix "[" $host }}
{{- $host = $host | trimPrefix "[" | trimSuffix "]" }}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" }}
{{- $v4 := regexMatch (printf "^(%s[.]){3}%s$" $octet $octet) $host }}
{{- if not $v6 }}
{{- $host = regexReplaceAll "[.]+$" $host "" }}
{{- end }}
{{- toJson (dict "host" $host "port" (atoi (default ($https | ternary "443" "80") $port)) "address" (or $v6 $v4)) }}
{{- end }}

{{/* For a name with several labels: the namespace, if the name may be a Service, and whether it may be an external name. */}}
{{- define "flame-mcp-server.serviceOf" -}}
{{- $labels := .labels }}
{{- $namespace := "" }}
{{- $outside := true }}
{{- $position := 0 }}
{{- range $index, $label := $labels }}
{{- if and (ge $index 2) (eq $label "svc") (not $position) }}
{{- $position = $index }}
{{- end }}
{{- end }}
{{- if $position }}
{{- $namespace = index $labels (sub $position 1) }}
{{- $outside = not (has (slice $labels (add $position 1) | join ".") (list "" $.domain)) }}
{{- else if eq (len $labels) 2 }}
{{- $namespace = index $labels 1 }}
{{- end }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" $namespace) }}
{{- $namespace = "" }}
{{- $outside = true }}
{{- end }}
{{- toJson (dict "namespace" $namespace "outside" $outside) }}
{{- end }}

{{/* The additional egress rules that the user sets: a YAML list or nothing. */}}
{{- define "flame-mcp-server.extraEgress" -}}
{{- range .networkPolicy.egressTo }}
{{- $rule := dict }}
{{- with (include "flame-mcp-server.pruned" (omit . "ports") | fromJson).value }}
{{- $_ := set $rule "to" (list .) }}
{{- end }}
{{- $ports := list }}
{{- range .ports }}
{{- $ports = append $ports (dict "protocol" .protocol "port" .port) }}
{{- end }}
{{- with $ports }}
{{- $_ := set $rule "ports" . }}
{{- end }}
- {{ toJson $rule }}
{{- end }}
{{- end }}
