# needs: jq
# layout: another
# The way that every answer on the web has: a filter cannot write the file that it reads.
jq --arg old "$OLD" --arg new "$NEW" -c 'walk(if . == $old then $new else . end)' "$F" >"$D/tmp" && mv "$D/tmp" "$F"
