# needs: rsync sed
# A copy elsewhere is edited and copied back, with its time and mode, by a new file and a rename.
rsync -aX "$F" "$W/copy"
sed -i "s/$OLD/$NEW/" "$W/copy"
rsync -aX "$W/copy" "$F"
