# needs: sed
sed -i "s/10 mg/20 mg/" "$D/letter.xml"
