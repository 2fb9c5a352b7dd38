# needs: python3
for i in 1 2; do
    python3 "$R/mirth_writer.py" "$D/out" beside.hl7 "$(printf 'MSH|%s\rPID|1\r' $i)" beside
    python3 "$R/mirth_writer.py" "$D/out" into.hl7 "$(printf 'MSH|%s\rPID|1\r' $i)" into
    python3 "$R/mirth_writer.py" "$D/out" append.hl7 "$(printf 'MSH|%s\r' $i)" append
done
[ "$(cat "$D/out/append.hl7")" = "$(printf 'MSH|1\rMSH|2\r')" ]
[ "$(cat "$D/out/beside.hl7")" = "$(printf 'MSH|2\rPID|1\r')" ]
[ "$(cat "$D/out/into.hl7")" = "$(printf 'MSH|2\rPID|1\r')" ]
[ "$(ls "$D/out" | wc -l)" = 3 ]
