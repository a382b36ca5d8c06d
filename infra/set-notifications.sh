#!/usr/bin/env bash
# Sets the notification flags of an Azure Managed Redis, for templates that may not use preview versions of the API.
# The property exists in preview versions only. Run this after each deployment by a stable version, which may reset it.
#   infra/set-notifications.sh RESOURCE_GROUP REDIS_NAME
set -euo pipefail
id=$(az resource show --resource-group "$1" --name "$2" --resource-type Microsoft.Cache/redisEnterprise --query id --output tsv)
az rest --method patch --url "$id/databases/default?api-version=2026-02-01-preview" \
  --body '{"properties": {"notifyKeyspaceEvents": "Kg$hlxe"}}'
