# needs: python3
mkdir "$D/done" "$W/copies"
cp "$D/in/a.hl7" "$W/a.hl7"
cat "$W/a.hl7" >"$D/in/young.hl7"
cat "$D/in/record.json" >"$W/seen.json"
python3 "$R/mirth_reader.py" "$D/in" "$D/done" "$W/copies"
cmp "$W/a.hl7" "$W/copies/young.hl7"
cmp "$W/a.hl7" "$D/done/a.hl7"
cmp "$W/seen.json" "$W/copies/record.json"
cmp "$W/seen.json" "$D/done/record.json"
[ -z "$(ls -A "$D/in")" ]
