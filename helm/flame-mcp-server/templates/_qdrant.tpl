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

{{/*
How a pod of Qdrant finds the cluster that it belongs to: NAME

Qdrant listens on IPv4 by default. Where there is IPv6, `::` stands for the addresses of both families.

A peer with a past starts as it is. One without looks for a member: only members listen on 6335. If there is none, the first pod founds a
cluster, and the others wait for it. It must not found a second one when its volume is lost, so before that DNS has to tell which pods there
are, and it waits half a minute for those, which may have a past. If a member knows a peer with the address of this pod, the volume of that
one is gone for good, as this pod has an empty one. Qdrant lets nobody take the address of a peer that has data, so the old peer is removed
before. One that once ran without cluster mode has put its collections into the log that others learn from, but not its aliases, so the
first that joins it has them set again.
*/}}
{{- define "flame-mcp-server.joinQdrant" -}}
set={{ . }}-qdrant; peers={{ . }}-qdrant-headless; me="http://$HOSTNAME.$peers:6335"; state=/qdrant/storage/raft_state.json
[ -s /proc/net/if_inet6 ] && export QDRANT__SERVICE__HOST=::
run() { echo "flame-mcp: $1"; shift; exec ./entrypoint.sh "$@" --uri "$me"; }
listens() { timeout 3 bash -c ': < "/dev/tcp/$0/6335"' "$1" 2> /dev/null; }
ask() {
  timeout 60 bash -c 'exec 3<> "/dev/tcp/$0/6333" && {
    printf "%s %s HTTP/1.1\r\nHost: localhost\r\napi-key: %s\r\n" "$1" "$2" "$QDRANT__SERVICE__API_KEY"
    printf "Content-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s" "${#3}" "$3"
  } >&3 && cat <&3' "$member" "$1" "$2" "$3"
}
if [ -s "$state" ] && ! grep -q '"hard_state":{"term":0,' "$state"; then
  [ "$HOSTNAME" = "$set-0" ] && run "going on"
  run "going on" --bootstrap "http://$set-0.$peers:6335"
fi
while true; do
  pods=0
  while read -r member; do
    ((pods += 1))
    if listens "$member"; then break 2; fi
  done < <(getent ahosts "$peers" | cut -d ' ' -f 1 | sort -u)
  [ "$HOSTNAME" = "$set-0" ] && ((pods == 1 || (pods > 1 && SECONDS >= 30))) && run "founding a cluster"
  sleep 2
done
for _ in {1..15}; do
  mapfile -t known < <(ask GET /cluster | grep -o '"[0-9]*":{"uri":"[^"]*"}')
  ((${#known[@]} > 0)) && break
  sleep 2
done
for peer in "${known[@]}"; do
  case $peer in *"\"$me\""* | *"\"$me/\""*) ;; *) continue ;; esac
  old=${peer%%:*} old=${old//\"/}
  grep -q "\"this_peer_id\":$old[,}]" "$state" 2> /dev/null && continue
  echo "flame-mcp: removing peer $old, whose volume is gone"
  ask DELETE "/cluster/peer/$old?force=true" > /dev/null
done
if [ "${#known[@]}" = 1 ]; then
  aliases=
  while read -r alias; do
    aliases="$aliases${aliases:+,}{\"create_alias\":$alias}"
  done < <(ask GET /aliases | grep -o '{"alias_name":"[^"]*","collection_name":"[^"]*"}')
  if [ -n "$aliases" ] &&
    ! ask POST /collections/aliases "{\"actions\":[$aliases]}" | grep -q '"result":true'; then
    echo "flame-mcp: $member doesn't set its aliases again"
    exit 1
  fi
fi
case $member in *:*) member="[$member]" ;; esac
run "joining $member" --bootstrap "http://$member:6335"
{{- end }}
