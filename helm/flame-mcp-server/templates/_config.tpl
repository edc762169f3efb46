{{/* All settings of the server, without secrets, as JSON: (dict "root" ROOT "spec" SPEC) */}}
{{- define "flame-mcp-server.config" -}}
{{- $spec := .spec }}
{{- $files := (include "flame-mcp-server.credentials" (merge (dict "component" "server") .) | fromJson).files }}
{{- $data := dict "INDEX_DIR" "/opt/flame-mcp/index" "HOST" "::" "PORT" "8000" "METRICS_PORT" "9090" "SHUTDOWN_GRACE_SECONDS" "25" }}
{{- with include "flame-mcp-server.caSetting" $spec }}
{{- $_ := set $data "CA_FILE" . }}
{{- end }}
{{- $_ := set $data "ALLOWED_HOSTS" (include "flame-mcp-server.hosts" .) }}
{{- with dig "cors" "allowedOrigins" list $spec }}
{{- $_ := set $data "ALLOWED_ORIGINS" (join "," .) }}
{{- end }}
{{- with include "flame-mcp-server.trustedProxies" $spec }}
{{- $_ := set $data "TRUSTED_PROXIES" . }}
{{- end }}
{{- with include "flame-mcp-server.pathPrefix" $spec }}
{{- $_ := set $data "PATH_PREFIX" . }}
{{- end }}
{{- $_ := set $data "LOG_LEVEL" $spec.observability.logLevel }}
{{- $_ := set $data "LOG_FORMAT" $spec.observability.logFormat }}
{{- with $spec.observability.tracing }}
{{- $_ := set $data "TRACING_ENDPOINT" .endpoint }}
{{- end }}
{{- $vectors := include "flame-mcp-server.vectorSettings" (dict "root" .root "spec" $spec "files" $files) | fromJson }}
{{- $data = merge $data $vectors }}
{{- $_ := set $data "DEFAULT_LIMIT" (int64 $spec.search.defaultLimit | toString) }}
{{- $_ := set $data "MAX_TOKENS" (int64 $spec.search.maxTokens | toString) }}
{{- with $spec.search.rateLimit }}
{{- $_ := set $data "RATE_LIMIT_PER_MINUTE" (int64 .requestsPerMinute | toString) }}
{{- $_ := set $data "RATE_LIMIT_BURST" (int64 .burst | toString) }}
{{- end }}
{{- $_ := set $data "AUTH_TYPE" $spec.auth.type }}
{{- with include "flame-mcp-server.credentialsPath" (list $files "auth-token") }}
{{- $_ := set $data "AUTH_TOKEN_FILE" . }}
{{- end }}
{{- if eq $spec.auth.type "OIDC" }}
{{- $_ := set $data "AUTH_OIDC_ISSUER" $spec.auth.oidc.issuer }}
{{- if hasPrefix "http://" $spec.auth.oidc.issuer }}
{{- $_ := set $data "AUTH_OIDC_ALLOW_HTTP" "true" }}
{{- end }}
{{- $_ := set $data "AUTH_OIDC_AUDIENCE" $spec.auth.oidc.audience }}
{{- with $spec.auth.oidc.requiredScopes }}
{{- $_ := set $data "AUTH_OIDC_REQUIRED_SCOPES" (join " " .) }}
{{- end }}
{{- end }}
{{- include "flame-mcp-server.variables" $data }}
{{- end }}

{{/* The settings for the embedding and the vector store: (dict "root" ROOT "spec" SPEC "files" FILES) */}}
{{- define "flame-mcp-server.vectorSettings" -}}
{{- $data := dict "EMBEDDING_TYPE" .spec.embedding.type }}
{{- $embeddingKey := include "flame-mcp-server.credentialsPath" (list .files "embedding-api-key") }}
{{- if eq .spec.embedding.type "AzureOpenAI" }}
{{- with .spec.embedding.azureOpenAI }}
{{- $data = merge $data (dict "AZURE_OPENAI_ENDPOINT" .endpoint "AZURE_OPENAI_DEPLOYMENT" .deployment "AZURE_OPENAI_API_VERSION" .apiVersion) }}
{{- $data = merge $data (dict "AZURE_OPENAI_DIMENSIONS" .dimensions "AZURE_OPENAI_API_KEY_FILE" $embeddingKey) }}
{{- $data = merge $data (dict "AZURE_OPENAI_BATCH_SIZE" .batchSize "AZURE_OPENAI_ENCODING_FORMAT" .encodingFormat) }}
{{- $data = merge $data (dict "AZURE_OPENAI_CLOUD" (dig "workloadIdentity" "cloud" "" .)) }}
{{- end }}
{{- else if eq .spec.embedding.type "OpenAI" }}
{{- with .spec.embedding.openAI }}
{{- $data = merge $data (dict "OPENAI_BASE_URL" .baseURL "OPENAI_MODEL" .model) }}
{{- $data = merge $data (dict "OPENAI_DIMENSIONS" .dimensions "OPENAI_API_KEY_FILE" $embeddingKey) }}
{{- $data = merge $data (dict "OPENAI_BATCH_SIZE" .batchSize "OPENAI_ENCODING_FORMAT" .encodingFormat) }}
{{- end }}
{{- end }}
{{- $qdrantKey := include "flame-mcp-server.credentialsPath" (list .files "qdrant-api-key") }}
{{- if eq .spec.vectorStore.type "Embedded" }}
{{- $_ := set $data "VECTOR_STORE_TYPE" "Embedded" }}
{{- else }}
{{- $_ := set $data "VECTOR_STORE_TYPE" "Qdrant" }}
{{- $_ := set $data "QDRANT_URL" (include "flame-mcp-server.qdrantUrl" .) }}
{{- $_ := set $data "QDRANT_COLLECTION" (include "flame-mcp-server.collection" . | trim) }}
{{- $_ := set $data "QDRANT_API_KEY_FILE" $qdrantKey }}
{{- $_ := set $data "QDRANT_CA_FILE" (include "flame-mcp-server.credentialsPath" (list .files "qdrant-ca.crt")) }}
{{- end }}
{{- $found := dict }}
{{- range $name, $value := $data }}
{{- if $value }}
{{- $_ := set $found $name (include "flame-mcp-server.text" $value) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* Settings by the names of their environment variables. */}}
{{- define "flame-mcp-server.variables" -}}
{{- $found := dict }}
{{- range $name, $value := . }}
{{- $_ := set $found (printf "FLAME_MCP_%s" $name) $value }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "flame-mcp-server.qdrantUrl" -}}
{{- if eq .spec.vectorStore.type "External" }}
{{- .spec.vectorStore.external.url }}
{{- else }}
{{- printf "http://%s-qdrant.%s.svc:6333" (include "flame-mcp-server.fullname" .root) .root.Release.Namespace }}
{{- end }}
{{- end }}

{{/* The name in Qdrant: a release that loads docs into a Qdrant that others may use has a name of its own there. */}}
{{- define "flame-mcp-server.collection" -}}
{{- $own := printf "flame-docs.%s.%s" .root.Release.Namespace (include "flame-mcp-server.fullname" .root) }}
{{- if ne .spec.vectorStore.type "External" }}flame-docs
{{- else if .spec.vectorStore.external.collection }}{{ .spec.vectorStore.external.collection }}
{{- else if .spec.ingestion }}{{ $own }}
{{- else }}flame-docs
{{- end }}
{{- end }}

{{/* The host names by which clients may address the server. */}}
{{- define "flame-mcp-server.hosts" -}}
{{- $name := include "flame-mcp-server.fullname" .root }}
{{- $place := printf "%s.%s" $name .root.Release.Namespace }}
{{- $hosts := list $name $place (printf "%s.svc" $place) (printf "%s.svc.%s" $place .root.Values.clusterDomain) }}
{{- with .spec.ingress }}
{{- $hosts = append $hosts .host }}
{{- end }}
{{- $route := dig "httpRoute" "hostnames" list .spec }}
{{- $service := .spec.service }}
{{- $hosts = concat $hosts $route (include "flame-mcp-server.serviceNames" .spec | fromJsonArray) }}
{{- if and (ne .spec.auth.type "None") (or (ne $service.type "ClusterIP") (and .spec.httpRoute (not $route))) }}
{{- $hosts = append $hosts "*" }}
{{- end }}
{{- $hosts | uniq | join "," }}
{{- end }}

{{/* The host names of the Service, as a JSON list: those of the spec, and those that external-dns is told to publish. */}}
{{- define "flame-mcp-server.serviceNames" -}}
{{- $names := .service.hostnames | default list }}
{{- $annotations := .service.annotations | default dict }}
{{- range $name := list "hostname" "internal-hostname" }}
{{- range splitList "," (get $annotations (printf "external-dns.alpha.kubernetes.io/%s" $name)) }}
{{- $host := trimAll " " . | lower }}
{{- if and (le (len $host) 253) (regexMatch "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" $host) }}
{{- $names = append $names $host }}
{{- end }}
{{- end }}
{{- end }}
{{- $names | uniq | toJson }}
{{- end }}

{{/*
The URLs for MCP clients outside the cluster that are known before anything is installed, as a JSON list: those that the operator lists in
status.externalURLs, without the addresses that a load balancer gets and the ports that nodes get.
*/}}
{{- define "flame-mcp-server.externalUrls" -}}
{{- $urls := list }}
{{- $prefix := include "flame-mcp-server.pathPrefix" . }}
{{- with .ingress }}
{{- $secure := hasKey . "tlsSecretRef" }}
{{- range list "alb.ingress.kubernetes.io/certificate-arn" "networking.gke.io/managed-certificates" "traefik.ingress.kubernetes.io/router.tls" }}
{{- $secure = or $secure (hasKey ($.ingress.annotations | default dict) .) }}
{{- end }}
{{- $urls = append $urls (printf "http%s://%s%s/mcp" ($secure | ternary "s" "") .host $prefix) }}
{{- end }}
{{- with .httpRoute }}
{{- $plain := true }}
{{- range .parentRefs }}
{{- $plain = and $plain (or (eq (int (.port | default 0)) 80) (eq (.sectionName | default "") "http")) }}
{{- end }}
{{- range .hostnames }}
{{- if not (hasPrefix "*" .) }}
{{- $urls = append $urls (printf "http%s://%s/mcp" ($plain | ternary "" "s") .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq .service.type "LoadBalancer" }}
{{- $port := int .service.port }}
{{- range include "flame-mcp-server.serviceNames" . | fromJsonArray }}
{{- if not (hasPrefix "*" .) }}
{{- $urls = append $urls (printf "http%s://%s%s/mcp" (eq $port 443 | ternary "s" "") . (has $port (list 80 443) | ternary "" (printf ":%d" $port))) }}
{{- end }}
{{- end }}
{{- end }}
{{- $urls = $urls | uniq }}
{{- if gt (len $urls) 32 }}
{{- $urls = slice $urls 0 32 }}
{{- end }}
{{- toJson $urls }}
{{- end }}

{{/* The proxies that may tell whom they speak for: those of the spec, or whoever connects from a private address to a server behind one. */}}
{{- define "flame-mcp-server.trustedProxies" -}}
{{- if .trustedProxies }}
{{- join "," .trustedProxies }}
{{- else if and (or .ingress .httpRoute) (eq .service.type "ClusterIP") }}private{{ end }}
{{- end }}

{{/* The prefix below which the server also answers, without a slash at the end. */}}
{{- define "flame-mcp-server.pathPrefix" -}}
{{- $path := regexReplaceAll "/+$" (dig "ingress" "path" "" .) "" | trimSuffix "/mcp" }}
{{- regexReplaceAll "/+$" $path "" }}
{{- end }}
