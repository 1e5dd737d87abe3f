{{- /* Mistakes in the values that a schema cannot tell, each in one sentence. */ -}}
{{- define "keyferry.checks" -}}
{{- if not .Values.vaultPolicy.mode -}}
{{- fail "Say which namespaces may draw from which vaults: vaultPolicy.mode=open lets every namespace use every vault that no rule names, vaultPolicy.mode=closed only what vaultPolicy.rules allow." -}}
{{- end -}}
{{- $connect := .Values.connect -}}
{{- if and $connect.embedded.enabled $connect.onepassword.enabled -}}
{{- fail "connect.embedded.enabled and connect.onepassword.enabled exclude each other: enable one Connect server." -}}
{{- end -}}
{{- if and $connect.embedded.enabled $connect.token.value -}}
{{- fail "connect.token.value is of no use with connect.embedded.enabled, which makes a token of its own: leave it out." -}}
{{- end -}}
{{- if and $connect.embedded.enabled (not $connect.embedded.vaults) -}}
{{- fail "connect.embedded.vaults names no vault, so the operator could read nothing: name at least one." -}}
{{- end -}}
{{- if and $connect.ca.existingSecret $connect.ca.existingConfigMap -}}
{{- fail "connect.ca.existingSecret and connect.ca.existingConfigMap exclude each other: set one." -}}
{{- end -}}
{{- if not (include "keyferry.tokenSecret" .) -}}
{{- fail "There is no Connect token: set connect.token.existingSecret or connect.token.value." -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) .Values.dryRun -}}
{{- fail "dryRun has no election, so several replicas would all do the same: set replicas=1." -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "INSTANCE" "POD_NAME" "POD_NAMESPACE" "OP_CONNECT_HOST" "OP_CONNECT_TOKEN" "OP_CONNECT_TOKEN_FILE" "OP_CONNECT_CA_FILE" "VAULT_POLICY_FILE" "WATCH_NAMESPACE" "ITEM_SELECTOR" "DRY_RUN" "SHARDS" "LEADER_ELECTION" "METRICS_ADDRESS" "PROBE_ADDRESS") -}}
{{- fail (printf "extraEnv sets %s, which the chart sets itself from other values." .name) -}}
{{- end -}}
{{- end -}}
{{- if $connect.onepassword.enabled -}}
{{- include "keyferry.checkCredentials" $connect.onepassword.credentials -}}
{{- end -}}
{{- end -}}

{{- define "keyferry.checkCredentials" -}}
{{- if and .value .existingSecret -}}
{{- fail "connect.onepassword.credentials.value and .existingSecret exclude each other: set one." -}}
{{- end -}}
{{- if not (or .value .existingSecret) -}}
{{- fail "1Password Connect needs its credentials: add --set-file connect.onepassword.credentials.value=1password-credentials.json, or name a Secret by connect.onepassword.credentials.existingSecret." -}}
{{- end -}}
{{- if .value -}}
{{- $_ := include "keyferry.credentials" .value -}}
{{- end -}}
{{- end -}}

{{- /* The credentials file as JSON, given as JSON or in base64. */ -}}
{{- define "keyferry.credentials" -}}
{{- $text := trim . -}}
{{- if not (hasPrefix "{" $text) -}}
{{- $text = $text | replace "\n" "" | replace "\r" "" | replace " " "" | b64dec | trim -}}
{{- end -}}
{{- if and (not (hasPrefix "{" $text)) (hasPrefix "{" ($text | b64dec | trim)) -}}
{{- fail "connect.onepassword.credentials.value is in base64 twice: give the file 1password-credentials.json as it is, by --set-file." -}}
{{- end -}}
{{- $json := $text | fromJson -}}
{{- if or (hasKey $json "Error") (not (hasKey $json "encCredentials")) (not (hasKey $json "uniqueKey")) -}}
{{- fail "connect.onepassword.credentials.value is not the file 1password-credentials.json, as JSON or in base64: download it again from the Connect server's page in 1Password and give it by --set-file." -}}
{{- end -}}
{{- $text -}}
{{- end -}}
