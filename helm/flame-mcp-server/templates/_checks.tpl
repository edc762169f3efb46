{{/*
Reports all mistakes that the values' schema can't detect, together and each with what to do: (dict "root" ROOT "spec" SPEC).
For rules between fields of the resource, the messages are those of the CRD.
*/}}
{{- define "flame-mcp-server.check" -}}
{{- $errors := list }}
{{- range list "mode" "names" "secrets" "unions" "resources" "exposure" "ingestion" "pods" }}
{{- $errors = append $errors (include (printf "flame-mcp-server.check.%s" .) $ | trim) }}
{{- end }}
{{- with without $errors "" }}
{{- fail (printf "these values don't fit:\n%s" (join "\n" .)) }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.check.mode" -}}
{{- $mode := .root.Values.mode }}
{{- $type := .spec.vectorStore.type }}
{{- if and (eq $mode "standalone") (eq $type "Managed") }}
- mode standalone runs no Qdrant server of its own; set mode to withQdrant or fullStack, or vectorStore.type to Embedded or External
{{- end }}
{{- if and (eq $mode "withQdrant") (ne $type "Managed") }}
- mode withQdrant runs a Qdrant server of its own; remove vectorStore.type {{ $type }}, or set mode to standalone
{{- end }}
{{- if and (eq $mode "fullStack") (not .spec.ingestion) }}
- mode fullStack loads docs and needs ingestion.sources, such as [{name: flame, git: {url: https://github.com/flame-engine/flame.git}}]
{{- end }}
{{- if and (ne $mode "fullStack") .spec.ingestion }}
- ingestion is what mode fullStack has more; set mode to fullStack, or remove ingestion
{{- end }}
{{- if and .spec.suspend (not .root.Values.operator.enabled) }}
- suspend tells the operator to stop; set operator.enabled to true, or remove suspend
{{- end }}
{{- if and .spec.operatorClass (not .root.Values.operator.enabled) }}
- operatorClass names an operator; set operator.enabled to true, or remove operatorClass
{{- end }}
{{- end }}

{{- define "flame-mcp-server.check.names" -}}
{{- $name := include "flame-mcp-server.fullname" .root }}
{{- if gt (len $name) 40 }}
- the name {{ $name }} must have at most 40 characters, so that names derived from it fit everywhere; choose a shorter release name, or set fullnameOverride
{{- else if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
- the name {{ $name }} must be a DNS label that starts with a letter (a-z, 0-9 and '-' only, no dots); choose another release name, or set fullnameOverride
{{- end }}
{{- end }}

{{- define "flame-mcp-server.check.secrets" -}}
{{- $secrets := .root.Values.secrets }}
{{- $token := $secrets.token }}
{{- $qdrant := $secrets.qdrant }}
{{- $needsToken := and (eq .spec.auth.type "Bearer") (not (dig "bearer" "tokenSecretRef" "" .spec.auth)) }}
{{- $needsKeys := eq .spec.vectorStore.type "Managed" }}
{{- $namespace := .root.Release.Namespace }}
{{- if .root.Values.operator.enabled }}
{{- if or $token.existingSecret $token.value $qdrant.existingSecret $qdrant.apiKey $qdrant.readOnlyApiKey }}
- with operator.enabled the operator makes tokens and keys; remove what is below secrets, or set operator.enabled to false
{{- end }}
{{- else }}
{{- if and $needsToken (not (or $token.existingSecret $token.value)) }}
- auth.type Bearer needs a token: make one with `kubectl create secret generic flame-token -n {{ $namespace }} --from-literal=token=$(openssl rand -hex 32)` and set secrets.token.existingSecret to flame-token
{{- end }}
{{- if and $token.existingSecret $token.value }}
- secrets.token takes existingSecret or value and not both; remove value
{{- end }}
{{- if and (not $needsToken) (or $token.existingSecret $token.value) }}
- secrets.token is for auth.type Bearer without auth.bearer.tokenSecretRef; set auth.type to Bearer, or remove secrets.token
{{- end }}
{{- if and $needsKeys (not (or $qdrant.existingSecret $qdrant.apiKey $qdrant.readOnlyApiKey)) }}
- a Qdrant server of its own needs keys: make them with `kubectl create secret generic flame-qdrant -n {{ $namespace }} --from-literal=api-key=$(openssl rand -hex 32) --from-literal=read-only-api-key=$(openssl rand -hex 32)` and set secrets.qdrant.existingSecret to flame-qdrant
{{- else if and $qdrant.existingSecret (or $qdrant.apiKey $qdrant.readOnlyApiKey) }}
- secrets.qdrant takes existingSecret or keys and not both; remove apiKey and readOnlyApiKey
{{- else if and $needsKeys (not $qdrant.existingSecret) (not (and $qdrant.apiKey $qdrant.readOnlyApiKey)) }}
- secrets.qdrant needs both apiKey and readOnlyApiKey; set the other one too, or existingSecret instead
{{- else if and (not $needsKeys) (or $qdrant.existingSecret $qdrant.apiKey $qdrant.readOnlyApiKey) }}
- secrets.qdrant is for a Qdrant server of the chart's own; set mode to withQdrant, or remove secrets.qdrant
{{- end }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.check.unions" -}}
{{- $store := .spec.vectorStore }}
{{- $embedding := .spec.embedding }}
{{- $auth := .spec.auth }}
{{- if and (eq $store.type "External") (not $store.external) }}
- vectorStore.type External needs the field external with the Qdrant server's url
{{- end }}
{{- if and (ne $store.type "External") (hasKey $store "external") }}
- vectorStore.external is for type External only; set vectorStore.type to External, or remove external
{{- end }}
{{- if and (ne $store.type "Managed") (hasKey $store "managed") }}
- vectorStore.managed is for type Managed only; set vectorStore.type to Managed, or remove managed
{{- end }}
{{- with $store.external }}
{{- if and .caBundleConfigMapRef (not (hasPrefix "https://" .url)) }}
- vectorStore.external.caBundleConfigMapRef is of use with https only; start url with https://, or remove the reference
{{- end }}
{{- end }}
{{- if and (eq $embedding.type "AzureOpenAI") (not $embedding.azureOpenAI) }}
- embedding.type AzureOpenAI needs the field azureOpenAI with endpoint and deployment
{{- end }}
{{- if and (ne $embedding.type "AzureOpenAI") (hasKey $embedding "azureOpenAI") }}
- embedding.azureOpenAI is for type AzureOpenAI only; set embedding.type to AzureOpenAI, or remove azureOpenAI
{{- end }}
{{- with $embedding.azureOpenAI }}
{{- if eq (hasKey . "apiKeySecretRef") (hasKey . "workloadIdentity") }}
- azureOpenAI needs either apiKeySecretRef or workloadIdentity, and not both; name one way to sign in
{{- end }}
{{- end }}
{{- if and (eq $embedding.type "OpenAI") (not $embedding.openAI) }}
- embedding.type OpenAI needs the field openAI with a model
{{- end }}
{{- if and (ne $embedding.type "OpenAI") (hasKey $embedding "openAI") }}
- embedding.openAI is for type OpenAI only; set embedding.type to OpenAI, or remove openAI
{{- end }}
{{- if and (eq $store.type "Embedded") (not (has $embedding.type (list "Local" "None"))) }}
- the image's own index was made with the Local model, so vectorStore.type Embedded works with embedding.type Local or None only; use one of those, or vectorStore.type External or Managed
{{- end }}
{{- if and (ne $auth.type "Bearer") (hasKey $auth "bearer") }}
- auth.bearer is for type Bearer only; set auth.type to Bearer, or remove bearer
{{- end }}
{{- if and (eq $auth.type "OIDC") (not $auth.oidc) }}
- auth.type OIDC needs the field oidc with issuer and audience
{{- end }}
{{- $issuer := dig "oidc" "issuer" "" $auth }}
{{- if hasPrefix "http://" $issuer }}
{{- if not (regexMatch "^http://([-a-z0-9]+[.]){2}svc([.][-a-z0-9]+)*(:[0-9]{1,5})?(/.*)?$" $issuer) }}
- an issuer without https:// must be a Service of the cluster, written http://NAME.NAMESPACE.svc; correct the name, or use https://
{{- else if not .root.Values.operator.enabled }}
{{- $host := (include "flame-mcp-server.url" $issuer | fromJson).host }}
{{- if not .root.Values.httpIssuers.enabled }}
- auth.oidc.issuer starts with http://, which nobody has allowed; use https://, or set httpIssuers.enabled to true
{{- else if not (or (hasSuffix ".svc" $host) (hasSuffix (printf ".svc.%s" .root.Values.clusterDomain) $host)) }}
- auth.oidc.issuer {{ $host }} is no Service of this cluster, whose names end with .svc or .svc.{{ .root.Values.clusterDomain }}; an issuer elsewhere needs https://
{{- end }}
{{- end }}
{{- end }}
{{- if and (ne $auth.type "OIDC") (hasKey $auth "oidc") }}
- auth.oidc is for type OIDC only; set auth.type to OIDC, or remove oidc
{{- end }}
{{- end }}

{{- define "flame-mcp-server.check.resources" -}}
{{- $managed := .spec.vectorStore.managed | default dict }}
{{- $places := dict "resources" .spec.resources "vectorStore.managed.resources" $managed.resources "ingestion.resources" (dig "ingestion" "resources" dict .spec) }}
{{- range $place, $given := $places }}
{{- range $name := list "cpu" "memory" "ephemeral-storage" }}
{{- $asked := get (dig "requests" dict ($given | default dict)) $name }}
{{- $capped := get (dig "limits" dict ($given | default dict)) $name }}
{{- $unlimited := and (eq $name "cpu") $capped (eq (float64 (include "flame-mcp-server.amount" (include "flame-mcp-server.text" $capped))) 0.0) }}
{{- if and $asked $capped (not $unlimited) (ne (toString $asked) (toString $capped)) (eq (include "flame-mcp-server.lesser" (list $asked $capped)) (toString $capped)) }}
- in {{ $place }}, resources.requests.{{ $name }} must not exceed resources.limits.{{ $name }}; lower the request or raise the limit
{{- end }}
{{- end }}
{{- end }}
{{- with $managed.storage }}
{{- if eq (float64 (include "flame-mcp-server.amount" .size)) 0.0 }}
- vectorStore.managed.storage.size must be more than nothing; write how much room the vectors need, such as 10Gi
{{- end }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.check.exposure" -}}
{{- $open := and (eq .spec.auth.type "None") (not .spec.auth.allowUnauthenticated) }}
{{- $ingress := and (hasKey .spec "ingress") (not (dig "ingress" "allowUnauthenticated" false .spec)) }}
{{- if and $open (or $ingress (hasKey .spec "httpRoute") (ne .spec.service.type "ClusterIP")) }}
- with auth.type None an ingress, an httpRoute or a service of type LoadBalancer or NodePort lets everybody in; set auth.type to Bearer or OIDC, or auth.allowUnauthenticated to true if that is what you want
{{- end }}
{{- if and (hasKey .spec "httpRoute") (eq .spec.auth.type "None") (not (dig "httpRoute" "hostnames" list .spec)) }}
- with auth.type None the server must know its names, or any web page could ask it under a name of its own; set httpRoute.hostnames, or auth.type to Bearer or OIDC
{{- end }}
{{- range .spec.trustedProxies }}
{{- if not (regexMatch "^(((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$" .) }}
- {{ . }}: trustedProxies takes ranges in CIDR notation, such as 10.0.0.0/8 or 2001:db8::/32; correct this one
{{- end }}
{{- end }}
{{- $policy := .spec.networkPolicy }}
{{- if and (eq $policy.type "Disabled") (or (hasKey $policy "ingressFrom") (hasKey $policy "egressTo")) }}
- networkPolicy.ingressFrom and egressTo are of no use with type Disabled; set networkPolicy.type to Enabled, or remove them
{{- end }}
{{- range concat ($policy.ingressFrom | default list) ($policy.egressTo | default list) }}
{{- if not (or (hasKey . "ipBlock") (hasKey . "namespaceSelector") (hasKey . "podSelector")) }}
- networkPolicy: a peer needs ipBlock, namespaceSelector or podSelector; an empty selector, {}, means all
{{- end }}
{{- end }}
{{- $monitor := .spec.observability.serviceMonitor | default dict }}
{{- if and (hasKey $monitor "labels") (ne $monitor.type "Enabled") }}
- observability.serviceMonitor.labels are of no use with type Disabled; set serviceMonitor.type to Enabled, or remove labels
{{- end }}
{{- range $names := list (dig "service" "annotations" dict .spec) (dig "serviceAccount" "annotations" dict .spec) (dig "ingress" "annotations" dict .spec) }}
{{- range $name, $_ := $names }}
{{- if regexMatch "^(flamemcp[.]dev|kubectl[.]kubernetes[.]io|helm[.]sh)/" $name }}
- annotation {{ $name }}: annotations that start with flamemcp.dev/, kubectl.kubernetes.io/ or helm.sh/ belong to tools; use another name
{{- end }}
{{- end }}
{{- end }}
{{- $spec := .spec }}
{{- range $field := list "metadata" "podTemplate" }}
{{- range $name, $_ := dig $field "labels" dict $spec }}
{{- if or (regexMatch "^(app[.]kubernetes[.]io|([a-z.]+[.])?flamemcp[.]dev|helm[.]sh|azure[.]workload[.]identity|(batch|apps|statefulset)[.]kubernetes[.]io)/" $name) (has $name (list "pod-template-hash" "controller-revision-hash" "job-name" "controller-uid")) }}
- {{ $field }}, label {{ $name }}: labels must leave alone what the operator and Kubernetes set: app.kubernetes.io/, flamemcp.dev/, helm.sh/, azure.workload.identity/, batch.kubernetes.io/, apps.kubernetes.io/ and statefulset.kubernetes.io/ with any name, pod-template-hash, controller-revision-hash, job-name and controller-uid; use another name
{{- end }}
{{- end }}
{{- range $name, $_ := dig $field "annotations" dict $spec }}
{{- if regexMatch "^(([a-z.]+[.])?flamemcp[.]dev|kubectl[.]kubernetes[.]io|helm[.]sh|azure[.]workload[.]identity)/" $name }}
- {{ $field }}, annotation {{ $name }}: annotations that start with flamemcp.dev/, kubectl.kubernetes.io/, helm.sh/ or azure.workload.identity/ are set by the operator or by tools; use another name
{{- end }}
{{- end }}
{{- end }}
{{- $urls := concat (include "flame-mcp-server.sourceUrls" .spec | fromJsonArray) (include "flame-mcp-server.urlsIfAny" .spec | fromJsonArray) }}
{{- range $urls }}
{{- if not (regexMatch "^https?://([-A-Za-z0-9._]+|\\[[0-9a-f:]+\\])(:[0-9]{1,5})?(/.*)?$" .) }}
- {{ . }} is no URL of a server; write it like https://name.example.com:443/path, an IPv6 address in brackets and lower case
{{- end }}
{{- end }}
{{- end }}

{{/* The URLs that are set, even if a union lacks the member for its type. */}}
{{- define "flame-mcp-server.urlsIfAny" -}}
{{- $found := list (dig "azureOpenAI" "endpoint" "" .embedding) (dig "openAI" "baseURL" "" .embedding) (dig "external" "url" "" .vectorStore) (dig "oidc" "issuer" "" .auth) (dig "tracing" "endpoint" "" .observability) (dig "egress" "proxy" "http" "" .) (dig "egress" "proxy" "https" "" .) }}
{{- without $found "" | toJson }}
{{- end }}

{{- define "flame-mcp-server.check.ingestion" -}}
{{- with .spec.ingestion }}
{{- if and .timeZone (not .schedule) }}
- ingestion.timeZone says when schedule is meant; set schedule, or remove timeZone
{{- end }}
{{- $names := list }}
{{- range .sources }}
{{- $members := pick . "git" "http" "configMapRef" "persistentVolumeClaimRef" "bundled" }}
{{- $source := .name }}
{{- if has .name $names }}
- ingestion.sources has the name {{ .name }} twice; give each source a name of its own
{{- end }}
{{- $names = append $names .name }}
{{- if ne (len $members) 1 }}
- source {{ .name }}: a source needs exactly one of git, http, configMapRef, persistentVolumeClaimRef and bundled; make a source of its own for each
{{- else if and .type (ne (lower .type) (first (keys $members) | lower | trimSuffix "ref")) }}
- source {{ .name }}: a source's type must name its member (Git for git, HTTP for http, ConfigMap for configMapRef, PersistentVolumeClaim for persistentVolumeClaimRef, Bundled for bundled); correct it, or leave it out
{{- end }}
{{- range list (dig "git" "path" "" .) (dig "persistentVolumeClaimRef" "path" "" .) }}
{{- if has ".." (splitList "/" .) }}
- source {{ $source }}: the path must stay inside its source; write it without '..'
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "flame-mcp-server.check.pods" -}}
{{- if and (hasKey .spec "replicas") (hasKey .spec "autoscaling") }}
- replicas and autoscaling exclude each other; remove replicas and set autoscaling.minReplicas and maxReplicas, or remove autoscaling
{{- end }}
{{- with .spec.autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
- autoscaling.minReplicas (2 when left out) must not exceed maxReplicas (10 when left out); lower the one or raise the other
{{- end }}
{{- end }}
{{- with .spec.deploymentStrategy }}
{{- if and (ne .type "RollingUpdate") (hasKey . "rollingUpdate") }}
- deploymentStrategy.rollingUpdate is for type RollingUpdate only; set deploymentStrategy.type to RollingUpdate, or remove rollingUpdate
{{- end }}
{{- with .rollingUpdate }}
{{- if and (regexMatch "^0+%?$" (include "flame-mcp-server.text" .maxSurge)) (regexMatch "^0+%?$" (include "flame-mcp-server.text" .maxUnavailable)) }}
- with both deploymentStrategy.rollingUpdate.maxSurge and maxUnavailable (0 when left out) of nothing, no pod could be replaced; set one of them to 1 or more
{{- end }}
{{- end }}
{{- end }}
{{- if regexMatch "^0+%?$" (include "flame-mcp-server.text" .spec.podDisruptionBudget.maxUnavailable) }}
- podDisruptionBudget.maxUnavailable of nothing would block every drain of a node; set 1 or more, or a percentage such as 25%
{{- end }}
{{- $names := list }}
{{- range .spec.env }}
{{- if regexMatch "(?i)^(FLAME_MCP|FASTMCP)_" .name }}
- env {{ .name }}: variables that start with FLAME_MCP_ or FASTMCP_, in any case, are set by the operator; use the field of the spec for that setting
{{- end }}
{{- if regexMatch "(?i)^((PYTHON|LD_|GIT_|OPENSSL_).*|BROWSER|PATH|BASH_ENV|GCONV_PATH|SSLKEYLOGFILE)$" .name }}
- env {{ .name }}: PYTHON*, LD_*, GIT_*, OPENSSL_*, BROWSER, PATH, BASH_ENV, GCONV_PATH and SSLKEYLOGFILE could run other code in the server or give its secrets away; remove the variable, or build an image of your own that sets it
{{- end }}
{{- if has .name $names }}
- env has {{ .name }} twice; remove one of them
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- end }}
