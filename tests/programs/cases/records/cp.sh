# needs: cp sed
# A copy elsewhere is edited and copied back.
cp "$F" "$W/copy"
sed -i "s/$OLD/$NEW/" "$W/copy"
cp "$W/copy" "$F"
