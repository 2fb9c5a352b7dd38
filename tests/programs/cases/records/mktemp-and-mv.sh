# needs: mktemp sed
# An empty file is made beside the old one, filled, and renamed over it.
new=$(mktemp -p "$D")
sed "s/$OLD/$NEW/" "$F" >"$new"
mv "$new" "$F"
