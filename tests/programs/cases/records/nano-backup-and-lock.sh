# needs: nano python3
python3 "$R/nano.py" "$F" "$OLD" "$NEW" --backup --locking
