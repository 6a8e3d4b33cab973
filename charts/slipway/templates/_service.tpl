{{/*
A service of ours as a Deployment. Given: root, component (what its labels and its image say), name,
port, values (its part of the values), own (settings by name), and if wanted grpc (another port),
target, doorman, blobs, account, secrets (name of a Secret -> folder), work (size of a scratch volume), and security contexts.
*/}}

{{- define "slipway.service" -}}
{{- $root := .root -}}
{{- $own := merge (dict) .own (include "slipway.common" $root | fromYaml) -}}
{{- if .blobs }}
  {{- $own = set $own "BLOBS_URL" ($root.Values.blobs.url | default "file:/blobs") -}}
{{- else }}
  {{- $own = set $own "BLOBS_URL" "memory:///" -}}
{{- end }}
{{- $environment := dict "root" $root "own" $own "settings" (.settings | default .values.settings) "doorman" .doorman -}}
{{- $hidden := cat $root.Values.database.url $root.Values.database.bundled.password $root.Values.broker.url $root.Values.broker.bundled.password $root.Values.doorman.key | nospace -}}
{{- $volume := and .blobs (not $root.Values.blobs.url) | not | not -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "slipway.labels" . | nindent 4 }}
spec:
  {{- if not (dig "autoscaling" "enabled" false .values) }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {{- include "slipway.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "slipway.podLabels" . | nindent 8 }}
      annotations:
        # secrets are read at the start; what is made by the chart itself never changes
        slipway.dev/secrets: {{ include "slipway.fingerprint" (dict "given" (list $root.Values.database $root.Values.broker $root.Values.doorman) "hidden" $hidden) }}
    spec:
      serviceAccountName: {{ .account | default (printf "%s-none" (include "slipway.name" $root)) }}
      automountServiceAccountToken: {{ if .account }}true{{ else }}false{{ end }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ add $root.Values.drain.grace 15 }}
      {{- include "slipway.placement" . | nindent 6 }}
      securityContext:
        {{- if .podSecurityContext }}
        {{- toYaml .podSecurityContext | nindent 8 }}
        {{- else }}
        {{- include "slipway.podSecurity" (dict "group" (ternary $root.Values.blobs.volume.group nil $volume)) | nindent 8 }}
        {{- end }}
      initContainers:
        # waits for the database, so that a pod which comes before it is not one that crashes
        - name: migrate
          image: {{ include "slipway.image" (dict "root" $root "part" .component) }}
          imagePullPolicy: {{ $root.Values.images.pullPolicy }}
          command: [python3, -m, shared.database.migrate]
          env: {{- include "slipway.databaseEnvironment" $root | nindent 12 }}
          securityContext: {{- include "slipway.containerSecurity" . | nindent 12 }}
          resources: {{- toYaml .values.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if $root.Values.certificates.configMap }}
            - {name: certificates, mountPath: /etc/slipway/certificates, readOnly: true}
            {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "slipway.image" (dict "root" $root "part" .component) }}
          imagePullPolicy: {{ $root.Values.images.pullPolicy }}
          ports:
            - {name: http, containerPort: {{ .port }}, protocol: TCP}
            {{- with .grpc }}
            - {name: grpc, containerPort: {{ . }}, protocol: TCP}
            {{- end }}
          env: {{- include "slipway.environment" $environment | nindent 12 }}
          {{- if and .blobs $root.Values.blobs.existingSecret }}
          envFrom:
            - secretRef: {name: {{ $root.Values.blobs.existingSecret }}}
          {{- end }}
          {{- include "slipway.probes" . | nindent 10 }}
          resources: {{- toYaml .values.resources | nindent 12 }}
          securityContext:
            {{- if .securityContext }}
            {{- toYaml .securityContext | nindent 12 }}
            {{- else }}
            {{- include "slipway.containerSecurity" . | nindent 12 }}
            {{- end }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if $volume }}
            - {name: blobs, mountPath: /blobs}
            {{- end }}
            {{- if .work }}
            - {name: work, mountPath: /work}
            {{- end }}
            {{- if $root.Values.certificates.configMap }}
            - {name: certificates, mountPath: /etc/slipway/certificates, readOnly: true}
            {{- end }}
            {{- range $kind, $secret := .secrets }}
            - {name: {{ $kind }}, mountPath: /etc/slipway/{{ $kind }}, readOnly: true}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- if $volume }}
        - name: blobs
          persistentVolumeClaim:
            claimName: {{ $root.Values.blobs.volume.existingClaim | default (printf "%s-blobs" (include "slipway.name" $root)) }}
        {{- end }}
        {{- with .work }}
        - name: work
          emptyDir: {sizeLimit: {{ . }}}
        {{- end }}
        {{- with $root.Values.certificates.configMap }}
        - name: certificates
          configMap: {name: {{ . }}}
        {{- end }}
        {{- range $kind, $secret := .secrets }}
        - name: {{ $kind }}
          secret: {secretName: {{ $secret }}}
        {{- end }}
{{- end }}

{{/* An address for a Deployment's pods. */}}
{{- define "slipway.address" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "slipway.labels" . | nindent 4 }}
  {{- with .values.service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .values.service.type }}
  {{- with .values.service.clusterIP }}
  clusterIP: {{ . }}
  {{- end }}
  selector: {{- include "slipway.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ .port }}, protocol: TCP, targetPort: http}
    {{- with .grpc }}
    - {name: grpc, port: {{ . }}, protocol: TCP, targetPort: grpc, appProtocol: kubernetes.io/h2c}
    {{- end }}
{{- end }}
