# needs: dcmodify dcmdump
# The old file is renamed to a backup, the new one made under its name.
# What the physician may write, and the pharmacist may not: a diagnosis.
dcmodify -i "(0008,1080)=Cough" "$D/image.dcm"
dcmdump +P AdmittingDiagnosesDescription "$D/image.dcm" | grep -q Cough
