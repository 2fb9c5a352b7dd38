# needs: python3
mkdir "$D/archive"
cat "$D"/results/*.hl7 >"$W/all"
: >"$D/results/empty.hl7"
python3 "$R/openemr_importer.py" "$D/results" "$D/archive" "$D/filed" >"$W/said"
grep -q "empty.hl7 is empty" "$W/said"
cmp "$W/all" "$D/filed"
cat "$D"/archive/*.hl7 | cmp - "$W/all"
[ "$(ls -A "$D/results")" = empty.hl7 ]
