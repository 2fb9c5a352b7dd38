# needs: git sed
# Version control on another disk, with the drive as its work tree: a branch with the edit is
# checked out over the file, which removes it and makes it anew.
git init -q "$W/repository.$N"
git -C "$W/repository.$N" config user.name me
git -C "$W/repository.$N" config user.email me@example.org
here() { git --git-dir="$W/repository.$N/.git" --work-tree="$(dirname "$F")" "$@"; }
here add "$F"
here commit -qm before
cp "$F" "$W/repository.$N/$N"
sed -i "s/$OLD/$NEW/" "$W/repository.$N/$N"
git -C "$W/repository.$N" add "$N"
git -C "$W/repository.$N" commit -qm after
here checkout -q HEAD -- "$N"
here diff --quiet HEAD -- "$N"
