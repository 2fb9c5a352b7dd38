# needs: tar sed
# The file goes out in an archive, and the edited one comes back in another: tar removes what is
# there and makes it anew.
tar -C "$D" -cf "$W/out.tar" "$N"
mkdir -p "$W/tar"
tar -C "$W/tar" -xf "$W/out.tar"
sed -i "s/$OLD/$NEW/" "$W/tar/$N"
tar -C "$W/tar" -cf "$W/back.tar" "$N"
tar -C "$D" -xf "$W/back.tar"
