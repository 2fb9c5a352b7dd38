# needs: tar
# An archive is taken apart on the drive; one is made of what is there, on the drive, and is what
# it was made of.
mkdir -p "$W/tree/a/b"
for i in $(seq 30); do echo "result $i" >"$W/tree/a/b/$i.txt"; done
head -c 700000 /dev/urandom >"$W/tree/a/scan.bin"
: >"$W/tree/a/empty"
touch -d @1234567890 "$W/tree/a/b/7.txt"
tar -C "$W/tree" -cf "$W/a.tar" a
tar -C "$D" -xf "$W/a.tar"
tar -C "$D" -df "$W/a.tar"
tar -C "$D" -cf "$D/b.tar" a
tar -C "$D" -df "$D/b.tar"
tar -C "$W/tree" -df "$D/b.tar"
rm -r "$D/a/b"
