{{- define "keyferry.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Names of what has no namespace: two releases of one name in two namespaces are two. */ -}}
{{- define "keyferry.clusterName" -}}
{{- printf "%s.%s" (include "keyferry.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "keyferry.connectName" -}}
{{- printf "%s-connect" (include "keyferry.fullname" .) -}}
{{- end -}}

{{- define "keyferry.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "keyferry.fullname" .) -}}
{{- end -}}

{{- /* What selects pods, and never changes. Takes (list . "component"). */ -}}
{{- define "keyferry.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- /* Takes (list . "component"). */ -}}
{{- define "keyferry.labels" -}}
{{- $root := index . 0 -}}
{{ include "keyferry.selector" . }}
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Name, namespace and labels of an object. Takes (list . "component" "name"). */ -}}
{{- define "keyferry.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "keyferry.labels" . | nindent 2 }}
{{- end -}}

{{- define "keyferry.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What all pods have. */ -}}
{{- define "keyferry.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Text of a value for an environment variable: a number from a file is a float, and large ones would be written as 1e+06. */ -}}
{{- define "keyferry.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- /* Address of the Connect server. */ -}}
{{- define "keyferry.connectHost" -}}
{{- with .Values.connect -}}
{{- if .embedded.enabled -}}
https://{{ include "keyferry.connectName" $ }}.{{ $.Release.Namespace }}.svc:8443
{{- else if .onepassword.enabled -}}
{{- if .onepassword.tlsSecret -}}
https://{{ include "keyferry.connectName" $ }}.{{ $.Release.Namespace }}.svc:8443
{{- else -}}
http://{{ include "keyferry.connectName" $ }}.{{ $.Release.Namespace }}.svc:8080
{{- end -}}
{{- else -}}
{{ .host }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Secret with the Connect token. */ -}}
{{- define "keyferry.tokenSecret" -}}
{{- if .Values.connect.embedded.enabled -}}
{{ include "keyferry.connectName" . }}-token
{{- else if .Values.connect.token.value -}}
{{ include "keyferry.fullname" . }}-token
{{- else -}}
{{ .Values.connect.token.existingSecret }}
{{- end -}}
{{- end -}}

{{- /* Volume source with the authorities of the Connect server; empty: the system's. */ -}}
{{- define "keyferry.caSource" -}}
{{- $ca := .Values.connect.ca -}}
{{- if $ca.existingSecret -}}
secret: { secretName: {{ $ca.existingSecret }}, items: [{ key: {{ $ca.key | quote }}, path: ca.crt }] }
{{- else if $ca.existingConfigMap -}}
configMap: { name: {{ $ca.existingConfigMap }}, items: [{ key: {{ $ca.key | quote }}, path: ca.crt }] }
{{- else if .Values.connect.embedded.enabled -}}
secret: { secretName: {{ include "keyferry.embeddedTls" . }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end -}}
{{- end -}}

{{- define "keyferry.embeddedTls" -}}
{{- .Values.connect.embedded.tlsSecret | default (printf "%s-tls" (include "keyferry.connectName" .)) -}}
{{- end -}}

{{- define "keyferry.embeddedKey" -}}
{{- .Values.connect.embedded.keySecret | default (printf "%s-key" (include "keyferry.connectName" .)) -}}
{{- end -}}
