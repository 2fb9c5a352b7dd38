# needs: emacs
# The backup is a copy, the file is written in place.
emacs --batch -Q --eval "(setq backup-by-copying t write-region-inhibit-fsync nil)" "$F" \
    --eval "(progn (search-forward \"$OLD\") (replace-match \"$NEW\") (save-buffer))"
