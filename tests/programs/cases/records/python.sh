# needs: python3
# In place, through one handle.
python3 -c 'import sys
with open(sys.argv[1], "r+") as file:
    text = file.read()
    file.seek(0)
    file.write(text.replace(sys.argv[2], sys.argv[3]))
    file.truncate()' "$F" "$OLD" "$NEW"
