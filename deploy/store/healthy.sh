#!/bin/sh
# Healthy once the store answers with its password; it is not shown among the processes.
set -eu
REDISCLI_AUTH=$(cat "${STORE_PASSWORD_FILE:-/run/secrets/store_password}")
VALKEYCLI_AUTH=$REDISCLI_AUTH
export REDISCLI_AUTH VALKEYCLI_AUTH
answer=$("$(command -v valkey-cli || command -v redis-cli)" ping)
[ "$answer" = PONG ]
