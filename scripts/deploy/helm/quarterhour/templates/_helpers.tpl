{{- define "quarterhour.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "quarterhour.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .part }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "quarterhour.labels" -}}
{{ include "quarterhour.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "quarterhour.secret" -}}
{{- default (include "quarterhour.fullname" .) .Values.secrets.existing -}}
{{- end -}}

{{/* The Secret's content; fails with what to do when something needed is not given. */}}
{{- define "quarterhour.secretData" -}}
CLICKHOUSE_URL: {{ required "set secrets.clickhouseUrl, or secrets.existing to a Secret with CLICKHOUSE_URL" .Values.secrets.clickhouseUrl | quote }}
QUARTERHOUR_SIGNING_KEY: {{ required "set secrets.signingKey, 32 bytes or more, or secrets.existing" .Values.secrets.signingKey | quote }}
QUARTERHOUR_SMTP_URL: {{ required "set secrets.smtpUrl to a mail server, or secrets.existing" .Values.secrets.smtpUrl | quote }}
{{- end -}}

{{/* How Kafka lets us in: settings; fails with what to do when something needed is not given, or would not be used. */}}
{{- define "quarterhour.kafka" -}}
{{- $security := .Values.kafka.security }}
{{- $sasl := $security.sasl }}
{{- $tls := $security.tls }}
{{- $needs := printf "kafka.security.protocol is %s" $security.protocol }}
KAFKA_SECURITY_PROTOCOL: {{ $security.protocol }}
{{- if hasPrefix "SASL_" $security.protocol }}
KAFKA_SASL_MECHANISM: {{ required (printf "%s: set kafka.security.sasl.mechanism" $needs) $sasl.mechanism }}
KAFKA_SASL_USERNAME: {{ required (printf "%s: set kafka.security.sasl.username" $needs) $sasl.username | quote }}
{{- $_ := required (printf "%s: set kafka.security.sasl.secret to the Secret with the password" $needs) $sasl.secret }}
KAFKA_SASL_PASSWORD_FILE: {{ printf "/etc/quarterhour/kafka-password/%s" $sasl.passwordKey | quote }}
{{- else if or $sasl.mechanism $sasl.username $sasl.secret }}
{{- fail (printf "%s, which signs nobody in, but kafka.security.sasl is given: set the protocol to SASL_SSL" $needs) }}
{{- end }}
{{- if hasSuffix "SSL" $security.protocol }}
{{- if $tls.caSecret }}
KAFKA_SSL_CA_FILE: {{ printf "/etc/quarterhour/kafka-ca/%s" $tls.caKey | quote }}
{{- end }}
{{- if $tls.clientSecret }}
KAFKA_SSL_CERTIFICATE_FILE: /etc/quarterhour/kafka-client/tls.crt
KAFKA_SSL_KEY_FILE: /etc/quarterhour/kafka-client/tls.key
{{- end }}
KAFKA_SSL_CHECK_HOSTNAME: {{ $tls.checkHostname | quote }}
{{- else if or $tls.caSecret $tls.clientSecret (not $tls.checkHostname) }}
{{- fail (printf "%s, which is not encrypted, but kafka.security.tls is given: set the protocol to SSL or SASL_SSL" $needs) }}
{{- end }}
{{- end -}}

{{/* The Secrets that Kafka wants of us, by the name of their mount. */}}
{{- define "quarterhour.kafkaSecrets" -}}
{{- with .Values.kafka.security }}
{{- with .sasl.secret }}
kafka-password: {{ . }}
{{- end }}
{{- with .tls.caSecret }}
kafka-ca: {{ . }}
{{- end }}
{{- with .tls.clientSecret }}
kafka-client: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The ConfigMap's content. */}}
{{- define "quarterhour.settings" -}}
KAFKA_BOOTSTRAP_SERVERS: {{ required "set kafka.bootstrapServers to host:port,... of your Kafka" .Values.kafka.bootstrapServers | quote }}
{{- include "quarterhour.kafka" . }}
QUARTERHOUR_BIND_ADDRESS: "0.0.0.0"
QUARTERHOUR_METRICS_PORT: "9100"
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* How many partitions a worker's topic has; more workers than that stand by. */}}
{{- define "quarterhour.partitions" -}}
{{- $setting := ternary "QUARTERHOUR_INTERACTION_PARTITIONS" "QUARTERHOUR_ACCOUNT_PARTITIONS" (eq .part "meter") -}}
{{- get .root.Values.settings $setting | default "4" -}}
{{- end -}}

{{- define "quarterhour.topic" -}}
{{- ternary "interactions" "account.inbox" (eq . "meter") -}}
{{- end -}}

{{/* What every pod of ours has; no service links: QUARTERHOUR_PAGE_PORT and its like are settings of ours. */}}
{{- define "quarterhour.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: { sizeLimit: 256Mi }
{{- range $mount, $secret := include "quarterhour.kafkaSecrets" . | fromYaml }}
  - name: {{ $mount }}
    secret: { secretName: {{ $secret }}, defaultMode: 288 }  # 0440: readable by our group
{{- end }}
{{- end -}}

{{/* What every container of ours has. */}}
{{- define "quarterhour.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: tmp, mountPath: /tmp }
{{- range $mount, $_ := include "quarterhour.kafkaSecrets" . | fromYaml }}
  - { name: {{ $mount }}, mountPath: /etc/quarterhour/{{ $mount }}, readOnly: true }
{{- end }}
{{- end -}}

{{/* The environment: of all, by reference, so that no secret is in a pod's description. */}}
{{- define "quarterhour.envFrom" -}}
envFrom:
  - configMapRef: { name: {{ include "quarterhour.fullname" . }} }
  - secretRef: { name: {{ include "quarterhour.secret" . }} }
{{- end -}}

{{/* A restart follows settings that change. */}}
{{- define "quarterhour.annotations" -}}
checksum/settings: {{ include "quarterhour.settings" . | sha256sum }}
{{- if not .Values.secrets.existing }}
checksum/secrets: {{ include "quarterhour.secretData" . | sha256sum }}
{{- end }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* /health: restart it. /ready: send it nothing yet; a restart would not help. */}}
{{- define "quarterhour.probes" -}}
startupProbe:
  httpGet: { path: /health, port: http }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /health, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /ready, port: http }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{/* The long-running parts: command, the values' key, the port it answers on, and whether others speak to it. */}}
{{- define "quarterhour.parts" -}}
meter:
  command: [python, -m, streams.workers.meter]
  port: 9100
accounts:
  command: [python, -m, streams.workers.accounts]
  port: 9100
loader:
  command: [python, -m, projections.loader]
  port: 9100
  values: {{ merge (dict "replicas" 1) .Values.loader | toJson }}
clock:
  command: [python, -m, streams.workers.clock]
  port: 9100
  values: {{ .Values.clock | toJson }}
mailer:
  command: [python, -m, streams.workers.mailer]
  port: 9100
  values: {{ .Values.mailer | toJson }}
ingest:
  command: [python, -m, streams.doors.ingest, --port, "8082"]
  port: 8082
  values: {{ .Values.ingest | toJson }}
accounts-api:
  command: [python, -m, streams.doors.accounts, --port, "8081"]
  port: 8081
  values: {{ .Values.accountsApi | toJson }}
page:
  command: [python, -m, projections.web, --port, "8080"]
  port: 8080
  values: {{ .Values.page | toJson }}
{{- end -}}
