{{/* A list of strings as a CEL list. */}}
{{- define "flame-mcp-operator.celList" -}}
{{- $quoted := list }}
{{- range . }}
{{- $quoted = append $quoted (squote .) }}
{{- end }}
{{- printf "[%s]" (join ", " $quoted) }}
{{- end }}

{{/* The parts of guardrails that have a switch of their own and are on. */}}
{{- define "flame-mcp-operator.limits" -}}
{{- range list "hosts" "env" "serviceTypes" "gateways" "serviceMonitors" "priorityClasses" "tolerations" "affinity" "podTemplate" }}
{{- if (index $ .).enabled }} {{ . }}{{ end }}
{{- end }}
{{- end }}

{{/* Whether a CEL list of allowed names has this one, where a * at the end stands for any end. */}}
{{- define "flame-mcp-operator.celAllows" -}}
{{- printf "%s.exists(allowed, %s == allowed || (allowed.endsWith('*') && %s.startsWith(allowed.replace('*', ''))))" .list .name .name -}}
{{- end }}

{{/* Annotations by which names and certificates are asked for only for hosts that are checked. */}}
{{- define "flame-mcp-operator.boundAnnotations" -}}
{{- $names := list }}
{{- range $prefix, $rest := dict
  "external-dns.alpha.kubernetes.io" (list "hostname" "internal-hostname" "access" "alias" "cloudflare-proxied" "controller" "endpoints-type" "ingress-hostname-source" "set-identifier" "target" "ttl")
  "cert-manager.io" (list "common-name" "alt-names" "cluster-issuer" "issuer" "issuer-kind" "issuer-group" "duration" "renew-before" "renew-before-percentage" "usages" "revision-history-limit" "private-key-algorithm" "private-key-encoding" "private-key-size" "private-key-rotation-policy") }}
{{- range $rest }}
{{- $names = append $names (printf "%s/%s" $prefix .) }}
{{- end }}
{{- end }}
{{- include "flame-mcp-operator.celList" $names }}
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
- name: ingressAnnotations
  expression: >-
    !variables.isScale && has(variables.spec.ingress) && has(variables.spec.ingress.annotations) ? [variables.spec.ingress.annotations] : []
# Those of all children are also those of the Service and of the HTTPRoute.
- name: serviceAnnotations
  expression: >-
    (!variables.isScale && has(variables.spec.service) && has(variables.spec.service.annotations) ? [variables.spec.service.annotations] : []) +
    (!variables.isScale && has(variables.spec.metadata) && has(variables.spec.metadata.annotations) ? [variables.spec.metadata.annotations] : [])
- name: podAnnotations
  expression: >-
    !variables.isScale && has(variables.spec.podTemplate) && has(variables.spec.podTemplate.annotations) ?
    [variables.spec.podTemplate.annotations] : []
- name: annotations
  expression: variables.ingressAnnotations + variables.serviceAnnotations + variables.podAnnotations
# external-dns and cert-manager take names from annotations as well.
- name: hosts
  expression: >-
    variables.isScale ? [] :
    (has(variables.spec.ingress) ? [variables.spec.ingress.host] : []) +
    (has(variables.spec.httpRoute) && has(variables.spec.httpRoute.hostnames) ? variables.spec.httpRoute.hostnames : []) +
    (has(variables.spec.service) && has(variables.spec.service.hostnames) ? variables.spec.service.hostnames : []) +
    variables.annotations.map(all, ['external-dns.alpha.kubernetes.io/hostname',
    'external-dns.alpha.kubernetes.io/internal-hostname', 'cert-manager.io/common-name', 'cert-manager.io/alt-names']
    .filter(name, name in all).map(name, all[name]).join(',')).join(',').split(',').map(host, host.trim()).filter(host, host != '')
- name: allowedAnnotations
  expression: {{ include "flame-mcp-operator.celList" $guardrails.hosts.annotations | quote }}
- name: boundAnnotations
  expression: >-
    {{ include "flame-mcp-operator.boundAnnotations" . }}
# Anything may be an annotation of a Service, and every cloud has some of its own that ask for names, addresses or certificates. Of an
# Ingress the schema takes few, so that those are known which do; external-dns reads those of pods, too.
- name: foreignAnnotations
  expression: >-
    (variables.serviceAnnotations.map(all, all.map(name, name).join(',')) +
    (variables.ingressAnnotations + variables.podAnnotations).map(all, all.filter(name, name.startsWith('cert-manager.io/') ||
    name.startsWith('external-dns.alpha.kubernetes.io/') || name in ['alb.ingress.kubernetes.io/certificate-arn',
    'kubernetes.io/ingress.global-static-ip-name', 'networking.gke.io/managed-certificates']).join(','))).join(',').split(',')
    .filter(name, name != '' && !(name in variables.boundAnnotations) &&
    !{{ include "flame-mcp-operator.celAllows" (dict "list" "variables.allowedAnnotations" "name" "name") }})
- name: foreignHosts
  expression: variables.hosts.filter(host, !variables.allowedHosts.exists(allowed, host == allowed || host.endsWith('.' + allowed)))
{{- end }}
{{- if $guardrails.env.enabled }}
- name: allowedEnv
  expression: {{ include "flame-mcp-operator.celList" $guardrails.env.allowed | quote }}
- name: egress
  expression: "!variables.isScale && has(variables.spec.egress) ? variables.spec.egress : {}"
- name: namedEnv
  expression: >-
    (variables.isScale || !has(variables.spec.env) ? [] : variables.spec.env.map(one, one.name)) +
    (has(variables.egress.proxy) && has(variables.egress.proxy.http) ? ['HTTP_PROXY'] : []) +
    (has(variables.egress.proxy) && has(variables.egress.proxy.https) ? ['HTTPS_PROXY'] : []) +
    (has(variables.egress.caBundleConfigMapRef) ? ['SSL_CERT_FILE'] : [])
- name: foreignEnv
  expression: >-
    variables.namedEnv.filter(name,
    !{{ include "flame-mcp-operator.celAllows" (dict "list" "variables.allowedEnv" "name" "name") }})
{{- end }}
{{- if $guardrails.serviceTypes.enabled }}
- name: serviceType
  expression: "!variables.isScale && has(variables.spec.service) && has(variables.spec.service.type) ? variables.spec.service.type : 'ClusterIP'"
{{- end }}
{{- if $guardrails.gateways.enabled }}
- name: allowedGateways
  expression: >-
    {{ include "flame-mcp-operator.celList" $guardrails.gateways.allowed }}.map(one, one.replace('{namespace}', request.namespace))
- name: foreignGateways
  expression: >-
    variables.isScale || !has(variables.spec.httpRoute) ? [] : variables.spec.httpRoute.parentRefs.map(one,
    (has(one.namespace) ? one.namespace : request.namespace) + '/' + one.name).filter(name,
    !{{ include "flame-mcp-operator.celAllows" (dict "list" "variables.allowedGateways" "name" "name") }})
{{- end }}
{{- if $guardrails.serviceMonitors.enabled }}
- name: allowedLabels
  expression: {{ include "flame-mcp-operator.celList" $guardrails.serviceMonitors.allowed | quote }}
- name: monitors
  expression: >-
    !variables.isScale && has(variables.spec.observability) && has(variables.spec.observability.serviceMonitor) &&
    has(variables.spec.observability.serviceMonitor.type) && variables.spec.observability.serviceMonitor.type != 'Disabled' ?
    [variables.spec.observability.serviceMonitor] : []
# The labels of all children are also those of the ServiceMonitor.
- name: monitorLabels
  expression: >-
    variables.monitors.filter(one, has(one.labels)).map(one, one.labels) + (variables.monitors.size() > 0 && has(variables.spec.metadata) &&
    has(variables.spec.metadata.labels) ? [variables.spec.metadata.labels] : [])
- name: foreignLabels
  expression: >-
    variables.monitorLabels.map(one, one.map(name, name + '=' + one[name]).filter(label, !(label in variables.allowedLabels)).join(','))
    .filter(labels, labels != '')
{{- end }}
{{- if $guardrails.podTemplate.enabled }}
- name: allowedOfPods
  expression: {{ include "flame-mcp-operator.celList" $guardrails.podTemplate.allowed | quote }}
- name: podTemplate
  expression: "!variables.isScale && has(variables.spec.podTemplate) ? [variables.spec.podTemplate] : []"
- name: foreignOfPods
  expression: >-
    (variables.podTemplate.filter(one, has(one.labels)).map(one, one.labels.map(name, name).join(',')) +
    variables.podTemplate.filter(one, has(one.annotations)).map(one, one.annotations.map(name, name).join(','))).join(',').split(',')
    .filter(name, name != '' && !{{ include "flame-mcp-operator.celAllows" (dict "list" "variables.allowedOfPods" "name" "name") }})
{{- end }}
{{- if or $guardrails.priorityClasses.enabled $guardrails.tolerations.enabled $guardrails.affinity.enabled }}
- name: scheduling
  expression: "!variables.isScale && has(variables.spec.scheduling) ? [variables.spec.scheduling] : []"
{{- end }}
{{- if $guardrails.priorityClasses.enabled }}
- name: allowedPriorities
  expression: {{ include "flame-mcp-operator.celList" $guardrails.priorityClasses.allowed | quote }}
- name: foreignPriorities
  expression: >-
    variables.scheduling.filter(one, has(one.priorityClassName)).map(one, one.priorityClassName)
    .filter(name, !(name in variables.allowedPriorities))
{{- end }}
{{- if $guardrails.tolerations.enabled }}
- name: allowedTaints
  expression: {{ include "flame-mcp-operator.celList" $guardrails.tolerations.allowed | quote }}
# A toleration without a key tolerates every taint.
- name: foreignTaints
  expression: >-
    variables.scheduling.filter(one, has(one.tolerations)).map(one, one.tolerations.map(each, has(each.key) ? each.key : '')
    .filter(name, name == '' || !{{ include "flame-mcp-operator.celAllows" (dict "list" "variables.allowedTaints" "name" "name") }})
    .map(name, name == '' ? 'every key' : name).join(', ')).filter(names, names != '')
{{- end }}
{{- if $guardrails.affinity.enabled }}
- name: allowedNamespaces
  expression: {{ printf "%s + [request.namespace]" (include "flame-mcp-operator.celList" $guardrails.affinity.allowed) | quote }}
- name: affinity
  expression: variables.scheduling.filter(one, has(one.affinity)).map(one, one.affinity)
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
- expression: variables.foreignAnnotations.size() == 0
  message: an annotation may ask for a host name, an address or a certificate that nobody can check
  messageExpression: >-
    'the annotation ' + variables.foreignAnnotations.join(', ') + ' may ask for a host name, an address or a certificate that nobody can ' +
    'check; remove it, or ask who runs the cluster to add it to guardrails.hosts.annotations'
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
    (variables.allowedEnv.size() == 0 ? 'it may set none' : 'it may set ' + variables.allowedEnv.join(', ')) + '; remove it from spec.env and spec.egress'
{{- end }}
{{- if $guardrails.podTemplate.enabled }}
- expression: variables.foreignOfPods.size() == 0
  message: pods may not have a label or annotation that spec.podTemplate sets
  messageExpression: >-
    'pods may not have the label or annotation ' + variables.foreignOfPods.join(', ') + '; ' +
    (variables.allowedOfPods.size() == 0 ? 'they may have none' : 'they may have ' + variables.allowedOfPods.join(', ')) +
    '; remove it from spec.podTemplate'
{{- end }}
{{- if $guardrails.serviceTypes.enabled }}
- expression: variables.serviceType in {{ include "flame-mcp-operator.celList" $guardrails.serviceTypes.allowed }}
  message: "spec.service.type may be one of these: {{ join ", " $guardrails.serviceTypes.allowed }}"
{{- end }}
{{- if $guardrails.gateways.enabled }}
- expression: variables.foreignGateways.size() == 0
  message: spec.httpRoute.parentRefs names a Gateway that this namespace may not use
  messageExpression: >-
    'namespace ' + request.namespace + ' may not use the Gateway ' + variables.foreignGateways.join(', ') + '; ' +
    (variables.allowedGateways.size() == 0 ? 'it may use none' : 'it may use ' + variables.allowedGateways.join(', '))
{{- end }}
{{- if $guardrails.serviceMonitors.enabled }}
- expression: variables.monitors.size() == 0 || variables.allowedLabels.size() > 0
  message: this namespace may have no ServiceMonitor; remove spec.observability.serviceMonitor
- expression: variables.foreignLabels.size() == 0
  message: a ServiceMonitor may not have a label that the spec sets
  messageExpression: >-
    'a ServiceMonitor may not have the label ' + variables.foreignLabels.join(',') + '; it may have ' +
    variables.allowedLabels.join(', ')
{{- end }}
{{- if $guardrails.priorityClasses.enabled }}
- expression: variables.foreignPriorities.size() == 0
  message: a server may not have the priority class that the spec names
  messageExpression: >-
    'a server may not have the priority class ' + variables.foreignPriorities.join(', ') + '; ' +
    (variables.allowedPriorities.size() == 0 ? 'it may name none' : 'it may have ' + variables.allowedPriorities.join(', ')) +
    '; change or remove spec.scheduling.priorityClassName'
{{- end }}
{{- if $guardrails.tolerations.enabled }}
- expression: variables.foreignTaints.size() == 0
  message: a server may not tolerate a taint that the spec names
  messageExpression: >-
    'a server may not tolerate taints with ' + variables.foreignTaints.join(', ') + '; ' +
    (variables.allowedTaints.size() == 0 ? 'it may tolerate none' : 'it may tolerate ' + variables.allowedTaints.join(', ')) +
    '; change spec.scheduling.tolerations'
{{- end }}
{{- if $guardrails.affinity.enabled }}
{{- range $kind := list "podAffinity" "podAntiAffinity" }}
{{- range $when, $term := dict "requiredDuringSchedulingIgnoredDuringExecution" "" "preferredDuringSchedulingIgnoredDuringExecution" ".podAffinityTerm" }}
- expression: >-
    variables.affinity.all(one, !has(one.{{ $kind }}) || !has(one.{{ $kind }}.{{ $when }}) || one.{{ $kind }}.{{ $when }}.all(each,
    !has(each{{ $term }}.namespaceSelector) && (!has(each{{ $term }}.namespaces) ||
    each{{ $term }}.namespaces.all(name, name in variables.allowedNamespaces))))
  message: >-
    spec.scheduling.affinity.{{ $kind }} may look at pods of {{ prepend $guardrails.affinity.allowed "its own namespace" | join ", " }} only;
    remove namespaceSelector, and other names from namespaces
{{- end }}
{{- end }}
{{- end }}
{{- end }}
