# needs: vim
# The old file is renamed to a backup, the new one made under its name.
vim -Nu NONE -es -c "set backup backupcopy=no backupskip=" -c "%s/$OLD/$NEW/" -c wq "$F" </dev/null
