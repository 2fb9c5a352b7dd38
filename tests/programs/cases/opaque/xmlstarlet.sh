# needs: xmlstarlet
# In place.
xmlstarlet ed -L -u /letter/dose -v "20 mg at night" "$D/letter.xml"
grep -q "20 mg at night" "$D/letter.xml"
