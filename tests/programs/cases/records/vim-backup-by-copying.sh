# needs: vim
vim -Nu NONE -es -c "set backup backupcopy=yes backupskip=" -c "%s/$OLD/$NEW/" -c wq "$F" </dev/null
