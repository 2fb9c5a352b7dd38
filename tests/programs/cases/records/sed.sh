# needs: sed
# A new file in the same folder, renamed over the old one.
sed -i "s/$OLD/$NEW/" "$F"
