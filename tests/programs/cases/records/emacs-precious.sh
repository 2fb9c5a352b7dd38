# needs: emacs
# The new text is written beside the file and renamed over it.
emacs --batch -Q --eval "(setq make-backup-files nil)" "$F" \
    --eval "(progn (setq file-precious-flag t) (search-forward \"$OLD\") (replace-match \"$NEW\") (save-buffer))"
