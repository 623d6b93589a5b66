#!/bin/sh
# Ask a board one question and print its answer as it comes. MQTT 3.1.1; Mosquitto's clients and jq.
#
#     MQTT_HOST=broker.lan BOARD=pi ./ask.sh 'What does error E42 mean?'
#
# User, password and TLS are options of the clients, one a line in ~/.config/mosquitto_sub and ~/.config/mosquitto_pub:
# on a command line everybody on this machine could read them. ME is then the user's name.
set -u

fail() { echo "ask: $2" >&2; exit "$1"; }
can_be_asked='.state | IN("online", "loading", "unloaded")'
# @sh quotes: nothing of an answer is ever a command.
fields='if type == "object" and .id == $id then
            {type, index, code, text: (.text // ""), why: (.error.message? // "")}
            | to_entries[] | .key + "=" + (.value | tostring | @sh)
        else "type=other" end'

[ $# -eq 1 ] || { echo "usage: ask.sh QUESTION" >&2; exit 2; }
board=${BOARD:-demo} me=${ME:-me} seconds=${DEADLINE_SECONDS:-60}
reply=edge/$board/reply/$me status=edge/$board/status
id=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
request=$(jq -cn --arg prompt "$1" --arg id "$id" --argjson seconds "$seconds" \
    '{prompt: $prompt, id: $id, max_tokens: 256, deadline_ms: ($seconds * 1000)}') || exit 2
set -- -h "${MQTT_HOST:-127.0.0.1}" -p "${MQTT_PORT:-1883}" -q 1

# The status is retained: it is there at once, or there is no such board.
said=$(mosquitto_sub "$@" -t "$status" -C 1 -W 3 2>&1)
case $? in 0) ;; 27) fail 69 "no word of a board named $board" ;; *) fail 69 "no broker that takes us: $said" ;; esac
printf %s "$said" | jq -e "$can_be_asked" >/dev/null || fail 69 "the board is not there: $said"

folder=$(mktemp -d) && mkfifo "$folder/heard" || exit 71
# Both topics in one SUBSCRIBE, the answers first: who hears the status will hear the answer. After a lost connection it
# subscribes again and hears the status again; the same request, with the same id, is answered once.
mosquitto_sub "$@" -t "$reply" -t "$status" -F '%t %p' -W $((seconds + 5)) >"$folder/heard" 2>/dev/null &
listener=$!
trap 'kill "$listener" 2>/dev/null; rm -r "$folder"' EXIT
trap 'mosquitto_pub "$@" -t "edge/$board/cancel/$me" -m "$id"; exit 130' INT TERM

printed='' next=0
while read -r topic body; do
    if [ "$topic" = "$status" ]; then
        if printf %s "$body" | jq -e "$can_be_asked" >/dev/null; then
            mosquitto_pub "$@" -t "edge/$board/request/$me" -m "$request"
        fi
        continue
    fi
    eval "$(printf %s "$body" | jq -r --arg id "$id" "$fields" 2>/dev/null || echo type=other)"
    if [ "${type:=other}" = delta ] && [ "$index" = "$next" ]; then
        printf %s "$text"
        printed=$printed$text next=$((next + 1))
    elif [ "$type" = reply ]; then
        # The rest: a piece may have been lost, or the board has begun anew.
        case $text in "$printed"*) printf '%s\n' "${text#"$printed"}" ;; '') echo ;; *) printf '\n%s\n' "$text" ;; esac
        case $code in 200) exit 0 ;; 408) fail 4 "408 $why" ;; *) fail 1 "$code $why" ;; esac
    fi
done <"$folder/heard"
fail 4 "no answer after $((seconds + 5)) seconds"
