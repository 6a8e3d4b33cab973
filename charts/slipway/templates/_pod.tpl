{{/* What all pods of ours have in common. They meet the restricted Pod Security Standard. */}}

{{- define "slipway.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user | default 65532 }}
runAsGroup: {{ .user | default 65532 }}
fsGroup: {{ .group | default .user | default 65532 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "slipway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Where pods of one component go; `alone` is for one that has no other to keep away from. */}}
{{- define "slipway.placement" -}}
{{- $root := .root -}}
{{- if and $root.Values.topologySpread (not .alone) }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "slipway.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Changes with what is `given`. Whoever may see pods sees it, so where there are passwords, all of them
in `hidden`, it is dear to make: trying what they are takes too long.
*/}}
{{- define "slipway.fingerprint" -}}
{{- $plain := toJson .given | sha256sum -}}
{{- if .hidden }}{{ derivePassword 1 "maximum" $plain "slipway" "fingerprint" | sha256sum }}{{ else }}{{ $plain }}{{ end -}}
{{- end }}

{{- define "slipway.databaseEnvironment" -}}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ include "slipway.databaseSecret" . }}, key: DATABASE_URL}}
{{- if .Values.certificates.configMap }}
- name: SSL_CERT_FILE
  value: /etc/slipway/certificates/bundle.crt
{{- end }}
{{- end }}

{{/* A service's settings, as variables: the chart's own, then everybody's, then its own. */}}
{{- define "slipway.environment" -}}
{{- $root := .root -}}
{{- $settings := merge (dict) .settings $root.Values.settings .own -}}
{{ include "slipway.databaseEnvironment" $root }}
- name: AMQP_URL
  valueFrom: {secretKeyRef: {name: {{ include "slipway.brokerSecret" $root }}, key: AMQP_URL}}
{{- if .doorman }}
- name: DOORMAN_KEY
  valueFrom: {secretKeyRef: {name: {{ include "slipway.doormanSecret" $root }}, key: DOORMAN_KEY}}
{{- end }}
{{- range $name, $value := $settings }}
- name: {{ $name }}
  value: {{ ternary (printf "%.0f" $value) (toString $value) (and (kindIs "float64" $value) (eq (floor $value) $value)) | quote }}
{{- end }}
{{- end }}

{{/* The settings that every service has from the chart. */}}
{{- define "slipway.common" -}}
HOST: 0.0.0.0
LINGER: {{ .Values.drain.linger | quote }}
GRACE: {{ .Values.drain.grace | quote }}
{{- end }}

{{- define "slipway.probes" -}}
# starting may take long where the database has yet to come
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 3
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}
