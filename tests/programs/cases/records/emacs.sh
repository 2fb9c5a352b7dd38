# needs: emacs
# The old file is renamed to a backup, the new one made under its name.
emacs --batch -Q "$F" --eval "(progn (search-forward \"$OLD\") (replace-match \"$NEW\") (save-buffer))"
