#!/bin/sh
# Starts the store with a password from a file; refuses one that could be guessed.
set -eu
password=$(cat "${STORE_PASSWORD_FILE:-/run/secrets/store_password}")
case $password in
  *[!A-Za-z0-9_.~-]*) echo "The store's password may hold letters, digits and _ . ~ - only." >&2; exit 1 ;;
esac
if [ "${#password}" -lt 20 ]; then
  echo "The store's password is shorter than 20 characters; make one: openssl rand -hex 24" >&2
  exit 1
fi
# Accepted jobs are written to disk and never evicted; a full store refuses new ones.
exec "$(command -v valkey-server || command -v redis-server)" - <<CONFIG
bind * -::*
requirepass $password
dir /data
appendonly yes
appendfsync everysec
maxmemory ${STORE_MAXMEMORY:-512mb}
maxmemory-policy noeviction
save ""
CONFIG
