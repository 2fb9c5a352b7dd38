# needs: sqlite3
# A database on the drive, with each journal that sqlite has.
q() { sqlite3 -bail "$D/results.db" "$@"; }
q "create table result (id integer primary key, text)"
for mode in delete truncate persist memory wal delete; do
    [ "$(q "pragma journal_mode=$mode")" = "$mode" ] || { echo "no journal_mode $mode" >&2; exit 1; }
    q "begin; with recursive n(i) as (select 1 union all select i+1 from n where i < 200)
       insert into result (text) select '$mode ' || i from n; commit"
    q "begin; delete from result; rollback"
    [ "$(q "pragma integrity_check")" = ok ]
done
[ "$(q "select count(*) from result")" = 1200 ]
q vacuum
[ "$(q "pragma integrity_check")" = ok ]
