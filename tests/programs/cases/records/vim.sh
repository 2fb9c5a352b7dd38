# needs: vim
# Swap files beside the file, which is written in place.
vim -Nu NONE -es -c "%s/$OLD/$NEW/" -c wq "$F" </dev/null
