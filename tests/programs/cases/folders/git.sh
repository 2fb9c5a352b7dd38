# needs: git
# A repository on the drive: commits, a branch, a clone, a push, a repack, a check.
g() { git -C "$D/repository" -c user.name=me -c user.email=me@example.org "$@"; }
git init -q -b main "$D/repository"
for i in $(seq 8); do echo "result $i" >"$D/repository/$i.txt"; done
g add .
g commit -qm one
g checkout -qb other
echo changed >"$D/repository/3.txt"
g rm -q 4.txt
g commit -qam two
g checkout -q main
grep -q "result 3" "$D/repository/3.txt"
g merge -q other
git clone -q --no-hardlinks "$D/repository" "$D/clone"
echo more >"$D/clone/9.txt"
git -C "$D/clone" add 9.txt
git -C "$D/clone" -c user.name=me -c user.email=me@example.org commit -qm three
git -C "$D/clone" push -q origin HEAD:pushed
g gc -q
g fsck --strict --no-dangling
git -C "$D/clone" fsck --strict --no-dangling
[ -z "$(g status --porcelain)" ]
[ "$(g log --oneline pushed | wc -l)" = 3 ]
