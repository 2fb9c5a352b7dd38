# needs: mlr
# A new file in the same folder, renamed over the old one.
mlr -I --csv put '$dose_mg = $dose_mg * 2' "$D/table.txt"
grep -q "lisinopril,20" "$D/table.txt"
