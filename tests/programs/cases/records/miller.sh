# needs: mlr
# layout: another
# A new file in the same folder, renamed over the old one; it lays out anew what it reads.
mlr -I --json put '$* = json_decode(gsub(json_encode($*), ENV["OLD"], ENV["NEW"]))' "$F"
