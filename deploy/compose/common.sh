# Shared by backup and restore. COMPOSE sets another command or options: COMPOSE="docker-compose -p trial"
if [ -z "${COMPOSE:-}" ]; then
    if docker compose version >/dev/null 2>&1; then COMPOSE="docker compose"; else COMPOSE="docker-compose"; fi
fi
# shellcheck disable=SC2086
compose() { $COMPOSE "$@"; }
