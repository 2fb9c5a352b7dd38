# needs: vim
vim -Nu NONE -es -c "%s/10 mg/20 mg/" -c wq "$D/letter.xml" </dev/null
