{{/* Names, labels and images: what every object is called. */}}

{{- define "slipway.name" -}}
{{- ternary .Release.Name (printf "%s-slipway" .Release.Name) (contains "slipway" .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .target }}
slipway.dev/target: {{ . }}
{{- end }}
{{- end }}

{{- define "slipway.labels" -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/part-of: slipway
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Without versions, so that a new chart alone starts no pod anew. */}}
{{- define "slipway.podLabels" -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/part-of: slipway
{{- end }}

{{/* The image of a part, by digest where it is known. */}}
{{- define "slipway.image" -}}
{{- $images := .root.Values.images -}}
{{- $name := printf "%s/slipway-%s" (required "images.registry is required: host[:port]/prefix that `make images` pushed to" $images.registry) .part -}}
{{- $digest := (index $images .part).digest -}}
{{- if $digest }}{{ $name }}@{{ $digest }}{{ else }}{{ $name }}:{{ $images.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* Whether a database and a broker come with the chart: "yes" or nothing. */}}
{{- define "slipway.bundled" -}}
{{- if not (or .url .existingSecret) }}yes{{ end -}}
{{- end }}

{{- define "slipway.databaseSecret" -}}
{{- .Values.database.existingSecret | default (include "slipway.name" .) -}}
{{- end }}

{{- define "slipway.brokerSecret" -}}
{{- .Values.broker.existingSecret | default (include "slipway.name" .) -}}
{{- end }}

{{- define "slipway.doormanSecret" -}}
{{- .Values.doorman.existingSecret | default (include "slipway.name" .) -}}
{{- end }}

{{- define "slipway.targets" -}}
{{- $names := list -}}
{{- range .Values.targets }}{{ $names = append $names .name }}{{ end -}}
{{- join "," $names -}}
{{- end }}

{{- define "slipway.routerUrl" -}}
{{- .Values.router.url | default (printf "http://%s-router.%s.svc:8000" (include "slipway.name" .) .Release.Namespace) -}}
{{- end }}
