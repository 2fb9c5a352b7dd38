# needs: python3
python3 "$R/libreoffice.py" "$F" "$OLD" "$NEW"
