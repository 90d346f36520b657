{{- define "cardhook.name" -}}
{{- printf "%s" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "cardhook.selector" -}}
app.kubernetes.io/name: cardhook
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cardhook.labels" -}}
{{ include "cardhook.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The configuration. A JSON string is a TOML string. */}}
{{- define "cardhook.config" -}}
[server]
listen = "0.0.0.0:{{ .Values.service.port }}"

[admin]
listen = "0.0.0.0:{{ .Values.service.adminPort }}"
token_file = "/etc/cardhook/admin/token"
{{ range .Values.accounts }}
[[account]]
name = {{ .name | toJson }}
{{- with .app_id }}
app_id = {{ . | toJson }}
{{- end }}
mode = {{ .mode | default "secure" | toJson }}
{{- $account := .name }}
{{- range (.secretKeys | default (list "token" "aes_key")) }}
{{ . }}_file = {{ printf "/etc/cardhook/accounts/%s/%s" $account . | toJson }}
{{- end }}
{{- range $key, $value := .settings }}
{{ $key }} = {{ $value | toJson }}
{{- end }}
{{ end }}
[kafka]
brokers = {{ .Values.kafka.brokers | toJson }}
topic = {{ .Values.kafka.topic | toJson }}
dlq_topic = {{ .Values.kafka.dlq_topic | toJson }}
other_topic = {{ .Values.kafka.other_topic | toJson }}
{{- if .Values.kafka.passwordSecret }}
sasl_password_file = "/etc/cardhook/kafka/password"
{{- end }}
{{- with .Values.kafka.options }}

[kafka.options]
{{- range $key, $value := . }}
{{ $key | toJson }} = {{ $value | toString | toJson }}
{{- end }}
{{- end }}

[spool]
path = "/var/lib/cardhook"
max_bytes = {{ .Values.spool.maxBytes | toJson }}

[log]
format = "json"
{{- with .Values.extraConfig }}

{{ . }}
{{- end }}
{{- end -}}
