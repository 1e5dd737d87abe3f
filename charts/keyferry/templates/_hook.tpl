{{- /* Labels and annotations of what exists only for a Job before install and upgrade. Takes (list . name weight). */ -}}
{{- define "keyferry.hookMetadata" -}}
labels: {{- include "keyferry.labels" (list (index . 0) "hook") | nindent 2 }}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: {{ index . 2 | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- /* A Job of Keyferry's image with an account of its own. Takes (list . name args). */ -}}
{{- define "keyferry.hookJob" }}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  {{- include "keyferry.hookMetadata" (list $root $name "-20") | nindent 2 }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  {{- include "keyferry.hookMetadata" (list $root $name "-10") | nindent 2 }}
spec:
  backoffLimit: 4
  activeDeadlineSeconds: 300
  template:
    metadata:
      labels: {{- include "keyferry.labels" (list $root "hook") | nindent 8 }}
    spec:
      serviceAccountName: {{ $name }}
      restartPolicy: Never
      {{- include "keyferry.scheduling" $root | nindent 6 }}
      securityContext: {{- toYaml $root.Values.podSecurityContext | nindent 8 }}
      enableServiceLinks: false
      containers:
        - name: keyferry
          image: {{ include "keyferry.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{- toYaml (index . 2) | nindent 12 }}
          env:
            - name: POD_NAMESPACE
              valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
          resources:
            requests: { cpu: 20m, memory: 96Mi }
            limits: { memory: 256Mi }
          securityContext: {{- toYaml $root.Values.securityContext | nindent 12 }}
{{- end -}}
