#!/usr/bin/env bash
# live.sh PROGRAM COMMAND…: starts a service with an empty organization in a temporary SQLite database, and runs the command against it.
#
# The environment of the command has ISMS_URL, ISMS_EMAIL and ISMS_PASSWORD (admin and manager), and ISMS_KEY (a key of the role manager).
set -euo pipefail
program=$1
shift
dir=$(mktemp -d)
server=
leave() {
  local status=$?
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  [ "$status" = 0 ] || grep -v ' INFO ' "$dir/log" >&2 || true
  rm -rf "$dir"
}
trap leave EXIT
trap 'exit 1' INT TERM

unset "${!ISMS_@}" DATABASE_URL
export ISMS_EMAIL=security@example.org
ISMS_PASSWORD="$(head -c 24 /dev/urandom | base64)"
export ISMS_PASSWORD
export -n ISMS_EMAIL ISMS_PASSWORD # These are not settings of the program.
settings=(ISMS_DATA_DIR="$dir/data" ISMS_BIND=127.0.0.1:0)

ISMS_KEY="$(env "${settings[@]}" ISMS_ADMIN_PASSWORD="$ISMS_PASSWORD" "$program" admin create --organization "Example Shop" --email "$ISMS_EMAIL" \
  --api-key 2>"$dir/log" | sed -n 's/.*"api_key":"\([^"]*\)".*/\1/p')"
env "${settings[@]}" "$program" serve 2>>"$dir/log" &
server=$!
ISMS_URL=
for _ in $(seq 200); do
  ISMS_URL=$(sed -n 's/.*] serving \(http.*\)/\1/p' "$dir/log")
  [ -z "$ISMS_URL" ] || break
  kill -0 "$server" || exit 1
  sleep 0.1
done
[ -n "$ISMS_URL" ] || { echo "The service did not start." >&2 && exit 1; }
SERVICE_URL=$ISMS_URL SERVICE_KEY=$ISMS_KEY # The names that the guides use.
export ISMS_URL ISMS_EMAIL ISMS_PASSWORD ISMS_KEY SERVICE_URL SERVICE_KEY
"$@"
