{{/* A list of strings as a CEL list. */}}
{{- define "flame-mcp-operator.celList" -}}
{{- $quoted := list }}
{{- range . }}
{{- $quoted = append $quoted (squote .) }}
{{- end }}
{{- printf "[%s]" (join ", " $quoted) }}
{{- end }}

{{/* What a resource asks for. kubectl scale sends a Scale object, whose only field from the resource is spec.replicas. */}}
{{- define "flame-mcp-operator.guardrailVariables" -}}
{{- $guardrails := .Values.guardrails }}
- name: spec
  expression: object.spec
- name: isScale
  expression: has(request.subResource) && request.subResource == 'scale'
- name: isManaged
  expression: "!variables.isScale && variables.spec.vectorStore.type == 'Managed'"
- name: managed
  expression: "variables.isManaged && has(variables.spec.vectorStore.managed)"
{{- if $guardrails.allowedImagePrefixes }}
- name: imagePrefixes
  expression: {{ include "flame-mcp-operator.celList" $guardrails.allowedImagePrefixes | quote }}
- name: image
  expression: "variables.isScale || !has(variables.spec.image) ? '' : variables.spec.image"
- name: qdrantImage
  expression: "variables.managed && has(variables.spec.vectorStore.managed.image) ? variables.spec.vectorStore.managed.image : ''"
{{- end }}
{{- if not (kindIs "invalid" $guardrails.maxReplicas) }}
# 2 when nothing is said, as the operator makes it.
- name: replicas
  expression: >-
    !variables.isScale && has(variables.spec.autoscaling) ? variables.spec.autoscaling.maxReplicas :
    has(variables.spec.replicas) ? variables.spec.replicas : (variables.isScale ? 0 : 2)
- name: qdrantReplicas
  expression: >-
    variables.managed && has(variables.spec.vectorStore.managed.replicas) ? variables.spec.vectorStore.managed.replicas :
    (variables.isManaged ? 1 : 0)
{{- end }}
{{- if $guardrails.maxStorageSize }}
# 10Gi when nothing is said, as the operator makes it.
- name: storageSize
  expression: >-
    !variables.isManaged ? '0' :
    variables.managed && has(variables.spec.vectorStore.managed.storage) &&
    has(variables.spec.vectorStore.managed.storage.size) ? string(variables.spec.vectorStore.managed.storage.size) : '10Gi'
{{- end }}
{{- if $guardrails.hosts.enabled }}
- name: allowedHosts
  expression: >-
    {{ include "flame-mcp-operator.celList" $guardrails.hosts.allowed }}.map(host, host.replace('{namespace}', request.namespace)) +
    (has(namespaceObject.metadata.annotations) && 'flamemcp.dev/allowed-hosts' in namespaceObject.metadata.annotations ?
    namespaceObject.metadata.annotations['flamemcp.dev/allowed-hosts'].split(',').map(host, host.trim()).filter(host, host != '') : [])
- name: annotations
  expression: >-
    variables.isScale ? [] :
    (has(variables.spec.ingress) && has(variables.spec.ingress.annotations) ? [variables.spec.ingress.annotations] : []) +
    (has(variables.spec.service) && has(variables.spec.service.annotations) ? [variables.spec.service.annotations] : [])
# external-dns takes names from annotations as well.
- name: hosts
  expression: >-
    variables.isScale ? [] :
    (has(variables.spec.ingress) ? [variables.spec.ingress.host] : []) +
    (has(variables.spec.httpRoute) && has(variables.spec.httpRoute.hostnames) ? variables.spec.httpRoute.hostnames : []) +
    variables.annotations.map(all, ['external-dns.alpha.kubernetes.io/hostname', 'external-dns.alpha.kubernetes.io/internal-hostname']
    .filter(name, name in all).map(name, all[name]).join(',')).join(',').split(',').map(host, host.trim()).filter(host, host != '')
- name: foreignHosts
  expression: variables.hosts.filter(host, !variables.allowedHosts.exists(allowed, host == allowed || host.endsWith('.' + allowed)))
{{- end }}
{{- if $guardrails.env.enabled }}
- name: allowedEnv
  expression: {{ include "flame-mcp-operator.celList" $guardrails.env.allowed | quote }}
- name: foreignEnv
  expression: >-
    variables.isScale || !has(variables.spec.env) ? [] : variables.spec.env.map(one, one.name).filter(name,
    !variables.allowedEnv.exists(allowed, name == allowed || (allowed.endsWith('*') && name.startsWith(allowed.replace('*', '')))))
{{- end }}
{{- end }}

{{- define "flame-mcp-operator.guardrailRules" -}}
{{- $guardrails := .Values.guardrails }}
{{- if $guardrails.allowedImagePrefixes }}
{{- range $variable, $field := dict "image" "spec.image" "qdrantImage" "spec.vectorStore.managed.image" }}
- expression: >-
    variables.{{ $variable }} == '' || variables.imagePrefixes.exists(prefix, variables.{{ $variable }}.startsWith(prefix))
  message: {{ $field }} must start with one of guardrails.allowedImagePrefixes
  messageExpression: >-
    '{{ $field }} is ' + variables.{{ $variable }} + ', and images must start with one of ' + variables.imagePrefixes.join(', ') +
    '; use such an image, or remove {{ $field }} to get the default'
{{- end }}
{{- end }}
{{- with $guardrails.maxReplicas }}
- expression: variables.replicas <= {{ . }}
  message: a server may have at most {{ . }} replicas (it has 2 when none are named); set spec.replicas or spec.autoscaling.maxReplicas lower
- expression: variables.qdrantReplicas <= {{ . }}
  message: a Qdrant server may have at most {{ . }} replicas; set spec.vectorStore.managed.replicas lower
{{- end }}
{{- with $guardrails.maxStorageSize }}
- expression: quantity(variables.storageSize).compareTo(quantity('{{ . }}')) <= 0
  message: a Qdrant volume may have at most {{ . }} (it has 10Gi when nothing is named); set spec.vectorStore.managed.storage.size lower
{{- end }}
{{- if $guardrails.hosts.enabled }}
- expression: variables.foreignHosts.size() == 0
  message: this namespace may not use a host name that the spec asks for
  messageExpression: >-
    'namespace ' + request.namespace + ' may not use the host ' + variables.foreignHosts.join(', ') + '; ' +
    (variables.allowedHosts.size() == 0 ? 'it may use none yet' : 'use a host in ' + variables.allowedHosts.join(', ')) +
    ', or ask who runs the cluster to add one to the annotation flamemcp.dev/allowed-hosts of the namespace'
# A route without names has those of the gateway.
- expression: >-
    variables.isScale || !has(variables.spec.httpRoute) ||
    (has(variables.spec.httpRoute.hostnames) && variables.spec.httpRoute.hostnames.size() > 0)
  message: spec.httpRoute without hostnames takes every name of the gateway; name the hosts in spec.httpRoute.hostnames
{{- end }}
{{- if $guardrails.env.enabled }}
- expression: variables.foreignEnv.size() == 0
  message: a server may not set an environment variable that the spec sets
  messageExpression: >-
    'a server may not set the variable ' + variables.foreignEnv.join(', ') + '; ' +
    (variables.allowedEnv.size() == 0 ? 'it may set none' : 'it may set ' + variables.allowedEnv.join(', ')) + '; remove it from spec.env'
{{- end }}
{{- end }}
