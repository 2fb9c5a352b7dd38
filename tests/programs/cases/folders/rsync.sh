# needs: rsync
# A tree goes to the drive, and a copy of the drive to a disk; the second time nothing is to be done.
mkdir -p "$W/tree/a"
for i in $(seq 20); do echo "result $i" >"$W/tree/a/$i.txt"; done
printf '{"medications": ["lisinopril"], "labs": {"creatinine": 0.80}}\n' >"$W/tree/a/plain.json"
rsync -aX "$W/tree/" "$D/tree/"
again=$(rsync -aXi "$W/tree/" "$D/tree/")
[ -z "$again" ] || { echo "to the drive again: $again" >&2; exit 1; }
echo changed >"$W/tree/a/7.txt"
rm "$W/tree/a/8.txt"
rsync -aX --delete "$W/tree/" "$D/tree/"
again=$(rsync -aXci --delete "$W/tree/" "$D/tree/")
[ -z "$again" ] || { echo "to the drive with checksums: $again" >&2; exit 1; }
rsync -aX "$D/" "$W/copy/"
again=$(rsync -aXi "$D/" "$W/copy/")
[ -z "$again" ] || { echo "from the drive again: $again" >&2; exit 1; }
rsync -aX "$D/tree/" "$D/tree2/"
again=$(rsync -aXi "$D/tree/" "$D/tree2/")
[ -z "$again" ] || { echo "within the drive again: $again" >&2; exit 1; }
