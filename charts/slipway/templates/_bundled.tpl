{{/*
PostgreSQL and RabbitMQ that come with the chart: one pod each, with a script that starts the server
of an official image as well as that of a Debian package. Given: root, component, name, port, values,
secret (the key of the password), variable.
*/}}

{{- define "slipway.bundledServer" -}}
{{- $root := .root -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "slipway.labels" . | nindent 4 }}
data:
  start.sh: |
    {{- $root.Files.Get (printf "scripts/%s.sh" .component) | nindent 4 }}
  {{- if eq .component "postgresql" }}
  tool.sh: |
    {{- $root.Files.Get "scripts/tool.sh" | nindent 4 }}
  {{- end }}
  # the number that it runs as has to have a name, whatever the image calls it
  passwd: |
    root:x:0:0:root:/root:/bin/sh
    slipway:x:{{ .values.user }}:{{ .values.user }}:slipway:/data:/bin/sh
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "slipway.labels" . | nindent 4 }}
spec:
  selector: {{- include "slipway.selector" . | nindent 4 }}
  # there is no other pod to go to, and after its own absence a cluster calls all of them not ready
  publishNotReadyAddresses: true
  ports:
    - {name: {{ .portName }}, port: {{ .port }}, protocol: TCP, targetPort: {{ .portName }}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "slipway.labels" . | nindent 4 }}
spec:
  serviceName: {{ .name }}
  replicas: 1
  selector:
    matchLabels: {{- include "slipway.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "slipway.podLabels" . | nindent 8 }}
      annotations:
        slipway.dev/script: {{ include "slipway.fingerprint" (dict "given" (list ($root.Files.Get (printf "scripts/%s.sh" .component)) .values) "hidden" .values.password) }}
    spec:
      serviceAccountName: {{ include "slipway.name" $root }}-none
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 60
      {{- include "slipway.placement" (merge (dict "alone" true) .) | nindent 6 }}
      securityContext: {{- include "slipway.podSecurity" (dict "user" .values.user) | nindent 8 }}
      containers:
        - name: {{ .component }}
          image: {{ .values.image }}
          imagePullPolicy: {{ $root.Values.images.pullPolicy }}
          command: [sh, /scripts/start.sh]
          ports:
            - {name: {{ .portName }}, containerPort: {{ .port }}, protocol: TCP}
          env:
            - name: PASSWORD
              valueFrom: {secretKeyRef: {name: {{ include "slipway.name" $root }}, key: {{ .secret }}}}
          startupProbe:
            tcpSocket: {port: {{ .portName }}}
            periodSeconds: 2
            failureThreshold: 150
          livenessProbe:
            tcpSocket: {port: {{ .portName }}}
            periodSeconds: 10
            timeoutSeconds: 10
            failureThreshold: 6
          readinessProbe:
            tcpSocket: {port: {{ .portName }}}
            periodSeconds: 3
          resources: {{- toYaml .values.resources | nindent 12 }}
          securityContext: {{- include "slipway.containerSecurity" . | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: tmp, mountPath: /tmp}
            - {name: scripts, mountPath: /scripts, readOnly: true}
            - {name: scripts, mountPath: /etc/passwd, subPath: passwd, readOnly: true}
      volumes:
        - name: tmp
          emptyDir: {}
        - name: scripts
          configMap: {name: {{ .name }}}
        {{- if not .values.persistence.enabled }}
        - name: data
          emptyDir: {}
        {{- end }}
  {{- with .values.persistence }}
  {{- if .enabled }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .storageClass }}
        storageClassName: {{ ternary "" . (eq . "-") | quote }}
        {{- end }}
        resources: {requests: {storage: {{ .size }}}}
  {{- end }}
  {{- end }}
{{- end }}
