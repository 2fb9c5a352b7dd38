# needs: nano python3
# In place.
python3 "$R/nano.py" "$F" "$OLD" "$NEW"
