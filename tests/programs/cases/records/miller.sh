# needs: mlr
# layout: another
# A new file in the same folder, renamed over the old one; it lays out anew what it reads.
mlr -I --json --no-jlistwrap flatten then \
    put 'for (k, v in $*) { if (v == ENV["OLD"]) { $[k] = ENV["NEW"] } }' then unflatten "$F"
