# needs: dcmodify dcmdump
# The old file is renamed to a backup, the new one made under its name.
dcmodify -m "(0010,0010)=Other^Name" "$D/image.dcm"
dcmdump +P PatientName "$D/image.dcm" | grep -q "Other^Name"
