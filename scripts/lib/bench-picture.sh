# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A job's time line as an SVG picture, by scripts/bench ci. Sourced.

# time_line FILE ROW…: a row is TITLE, a tab, and parts NAME=SECONDS with blanks between; bars from 0, in seconds, one scale for all.
time_line() {
  local file=$1
  shift
  printf '%s\n' "$@" | awk -F '\t' '
    function text(x, y, size, anchor, what) {
      gsub(/&/, "\\&amp;", what); gsub(/</, "\\&lt;", what)
      printf "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, size, anchor, what
    }
    BEGIN { split("#7f7f7f #1f77b4 #2ca02c #ff7f0e #9467bd", colour, " ") }
    {
      title[NR] = $1; count[NR] = split($2, part, " "); total = 0
      for (i = 1; i <= count[NR]; i++) {
        split(part[i], pair, "=")
        name[NR, i] = pair[1]; length_of[NR, i] = pair[2]; total += pair[2]
      }
      if (total > longest) longest = total
    }
    END {
      if (!longest) exit 1
      left = 150; scale = 600 / longest; height = 60 + NR * 60
      printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 %d\" font-family=\"sans-serif\">\n", height
      printf "<rect width=\"800\" height=\"%d\" fill=\"white\"/>\n", height
      for (row = 1; row <= NR; row++) {
        y = 20 + (row - 1) * 60; x = left
        text(left - 10, y + 20, 14, "end", title[row])
        for (i = 1; i <= count[row]; i++) {
          w = length_of[row, i] * scale
          printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"30\" fill=\"%s\"><title>%s: %.2f s</title></rect>\n", x, y, w, \
            colour[(i - 1) % 5 + 1], name[row, i], length_of[row, i]
          if (w > 45) text(x + w / 2, y + 45, 11, "middle", sprintf("%s %.1f s", name[row, i], length_of[row, i]))
          x += w
        }
      }
      step = longest > 20 ? 5 : longest > 8 ? 2 : 1
      for (t = 0; t <= longest; t += step) text(left + t * scale, height - 15, 11, "middle", t " s")
      print "</svg>"
    }' >"$file"
}
