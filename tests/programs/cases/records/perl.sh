# needs: perl
# A new file in the same folder, renamed over the old one.
perl -pi -e "s/$OLD/$NEW/" "$F"
