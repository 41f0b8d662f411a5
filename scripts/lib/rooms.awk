# SPDX-License-Identifier: Apache-2.0
# The rooms, their arrows and what is wrong with them; scripts/rooms gives the input and says what the rules are.

function complain(text) { complaints[++complaint_count] = text }

# The name in the table's last column: "vmm/machine/run" is machine/run.
function short(room) { sub(/^[^\/]*\//, "", room); return room }

function trim(text) { gsub(/^[ `]+|[ `]+$/, "", text); return text }

# The room of a file: the innermost folder that is one; "" if there is none.
function room_of(path) {
  while (sub(/\/[^\/]*$/, "", path))
    if (path in is_room) return path
  return ""
}

# The library to link for a room.
function library_of(room) { return room in first_library ? first_library[room] : "the library of " room }

# A folder may make several; a room's library goes before others, and a program alone has no headers for other rooms.
function add_room(room, library, command) {
  if (!(room in is_room)) { is_room[room] = 1; rooms[++room_count] = room }
  if (!(room in first_library) || (command == "gpuvm_room" && made_by[room] != "gpuvm_room")) {
    first_library[room] = library
    made_by[room] = command
  }
  room_of_library[library] = room
}

function add_link(room, library, kind) { links[++link_count] = room SUBSEP library SUBSEP kind }

# CMake's file as words: commands that make a library or link one.
function read_cmake(    n, i, word, command, name, mode, room) {
  room = cmake_file
  sub(/\/CMakeLists.txt$/, "", room)
  gsub(/[()]/, " & ", cmake_text)
  n = split(cmake_text, word, /[ \t\n]+/)
  for (i = 1; i <= n; i++) {
    if (word[i + 1] == "(" && word[i] ~ /^(gpuvm_room|add_library|add_executable|target_link_libraries)$/) {
      command = word[i]; name = word[i + 2]; mode = ""
      if (command == "gpuvm_room") add_room(room, "gpuvm_" name, command)
      if (command ~ /^add_/) add_room(room, name, command)
      i += 2
    } else if (word[i] == ")") command = ""
    else if (command == "gpuvm_room" && word[i] ~ /^(SOURCES|LINKS|PRIVATE)$/) mode = word[i]
    else if (command == "target_link_libraries" && word[i] ~ /^(PUBLIC|INTERFACE)$/) mode = "LINKS"
    else if (command == "target_link_libraries" && word[i] == "PRIVATE") mode = word[i]
    else if (command != "" && mode ~ /^(LINKS|PRIVATE)$/) add_link(room, word[i], mode)
  }
  cmake_text = ""
}

function read_row(line,    column, room) {
  split(line, column, "|")
  room = trim(column[2])
  if (room == "room" || room ~ /^-*$/) return
  if (room in place) complain("docs/architecture.md: " room " has two rows: remove one")
  place[room] = ++row_count
  row_room[row_count] = room
  may_use[room] = column[4]
}

# path:#include "header"
function read_include(line,    path, header, from, to, is_header) {
  path = line; sub(/:.*/, "", path)
  header = line; sub(/^[^"]*"/, "", header); sub(/".*/, "", header)
  from = room_of(path); to = room_of(header)
  if (header ~ /^tests\//) complain(path ": includes " header ": the product does not use the tests")
  if (to == "" && header ~ /^(vmm|devices|firmware)\//) complain(path ": includes " header ", which is in no room")
  if (from == "" || to == "" || from == to) return
  is_header = path ~ /\.hpp$/
  if (!((from, to) in arrow)) arrow[from, to] = path
  if (is_header && !((from, to) in header_arrow)) header_arrow[from, to] = path
  if (!is_header && !((from, to) in source_arrow)) source_arrow[from, to] = path
}

/^== file /   { if (cmake_file != "") read_cmake(); cmake_file = $3; next }
/^== files$/  { if (cmake_file != "") read_cmake() }
/^== /        { part = $2; next }
part == "table"    { read_row($0) }
part == "cmake"    { cmake_text = cmake_text "\n" $0 }
part == "files" {
  path = $0; sub(/:[0-9]*$/, "", path)
  if (path == "/dev/null") next
  count = $0; sub(/.*:/, "", count)
  room = room_of(path)
  if (room == "") complain(path ": belongs to no room: its folder needs a CMakeLists.txt with gpuvm_room")
  files[room]++; lines[room] += count
}
part == "includes" { read_include($0) }
part == "classes" {
  path = $0; sub(/:.*/, "", path)
  class = $0; sub(/^[^:]*:/, "", class)
  if (class in defined_in && defined_in[class] != path)
    complain(path ": defines " class ", as " defined_in[class] " does: rename one")
  defined_in[class] = path
}

# Links between rooms only; those to the libraries of others are not ours to judge.
function take_links(    i, part, to) {
  for (i = 1; i <= link_count; i++) {
    split(links[i], part, SUBSEP)
    if (!(part[2] in room_of_library)) {
      if (part[2] ~ /^gpuvm_/ && part[2] != "gpuvm_warnings")
        complain(part[1] "/CMakeLists.txt: there is no room " part[2] ": remove it from " part[3])
      continue
    }
    to = room_of_library[part[2]]
    if (to == part[1]) continue
    linked[part[1], to] = 1
    if (part[3] == "LINKS" || made_by[part[1]] == "add_executable") { public[part[1], to] = 1; leads[part[1], to] = 1 }
    else reaches[part[1], to] = 1
  }
}

# leads: by LINKS alone, through any number of rooms. reaches: by PRIVATE first.
function close_links(    grew, pair, p, i, to) {
  do {
    grew = 0
    for (pair in leads) {
      split(pair, p, SUBSEP)
      for (i = 1; i <= room_count; i++) {
        to = rooms[i]
        if (((p[2], to) in leads) && !((p[1], to) in leads)) { found[p[1], to] = 1; grew = 1 }
      }
    }
    for (pair in found) { leads[pair] = 1; delete found[pair] }
  } while (grew)
  for (pair in reaches) {
    split(pair, p, SUBSEP)
    for (i = 1; i <= room_count; i++)
      if ((p[2], rooms[i]) in leads) found[p[1], rooms[i]] = 1
  }
  for (pair in found) reaches[pair] = 1
}

# Depth first: an arrow to a room that is still being visited closes a cycle. One arrow may close many: the first is told, and
# how many more there are.
function visit(room, way,    i, to) {
  state[room] = "open"
  for (i = 1; i <= room_count; i++) {
    to = rooms[i]
    if (!((room, to) in arrow) && !((room, to) in linked)) continue
    if (state[to] == "open") {
      if (cycles++ == 0) first_cycle = ("cycle: " substr(way, index(" " way, " " to " ")) "-> " to \
               ": move what they share into a room below both")
    } else if (state[to] == "") visit(to, way "-> " to " ")
  }
  state[room] = "done"
}

function check_pair(room, to,    via) {
  if (((room, to) in arrow) && (room in place) && (to in place) && place[to] > place[room])
    complain(arrow[room, to] ": includes from " to ", which stands below " room " in docs/architecture.md: an arrow up; " \
             "move the code, or the rows if the order is wrong")
  if (((room, to) in header_arrow) && !((room, to) in leads))
    complain(header_arrow[room, to] ": a header includes from " to ", to which LINKS do not lead: " \
             (((room, to) in linked) ? "move " library_of(to) " from PRIVATE to LINKS" : "add " library_of(to) " to LINKS") \
             " in " room "/CMakeLists.txt")
  else if (((room, to) in source_arrow) && !((room, to) in leads) && !((room, to) in reaches))
    complain(source_arrow[room, to] ": includes from " to ", to which neither LINKS nor PRIVATE lead: add " library_of(to) \
             " to PRIVATE in " room "/CMakeLists.txt")
  if (((room, to) in linked) && !((room, to) in arrow))
    complain(room "/CMakeLists.txt: no file includes from " to ": remove the link to " library_of(to))
  else if (((room, to) in public) && !((room, to) in header_arrow) && made_by[room] != "add_executable")
    complain(room "/CMakeLists.txt: only .cpp files include from " to ": move " library_of(to) " from LINKS to PRIVATE")
}

# The room's links as the table is to name them, in the table's order.
function links_text(room,    i, text) {
  for (i = 1; i <= row_count; i++)
    if ((room, row_room[i]) in linked) text = text (text == "" ? "" : ", ") short(row_room[i])
  return text == "" ? "nothing" : text
}

function check_row(room,    text, n, i, name, named, wrong) {
  if (!(room in place)) {
    complain("docs/architecture.md: " room " has no row in the table of rooms: add one, below all that it uses")
    return
  }
  text = may_use[room]
  gsub(/\([^)]*\)/, "", text)
  n = split(text, name, ",")
  for (i = 1; i <= n; i++) {
    name[i] = trim(name[i])
    if (name[i] != "nothing") named[name[i]] = 1
  }
  for (i = 1; i <= room_count; i++) {
    if (((room, rooms[i]) in linked) != (short(rooms[i]) in named)) wrong = 1
    delete named[short(rooms[i])]
  }
  for (i in named) wrong = 1
  if (wrong)
    complain("docs/architecture.md: the row of " room " does not agree with its links: \"may use\" is to be \"" links_text(room) "\"")
}

function print_room(room,    i, to, uses) {
  for (i = 1; i <= room_count; i++) {
    to = order[i]
    if ((room, to) in header_arrow) uses = uses " " short(to)
    else if ((room, to) in arrow) uses = uses " (" short(to) ")"
  }
  printf "%-28s %5d %6d  ->%s\n", room, files[room], lines[room], uses == "" ? " nothing" : uses
}

# In the table's order, then those that it lacks.
function order_rooms(    i, n) {
  for (i = 1; i <= row_count; i++)
    if (row_room[i] in is_room) order[++n] = row_room[i]
    else complain("docs/architecture.md: there is no room " row_room[i] ": remove its row")
  for (i = 1; i <= room_count; i++)
    if (!(rooms[i] in place)) order[++n] = rooms[i]
}

END {
  take_links()
  close_links()
  order_rooms()
  printf "%-28s %5s %6s\n", "room", "files", "lines"
  for (i = 1; i <= room_count; i++) print_room(order[i])
  for (i = 1; i <= room_count; i++) {
    for (j = 1; j <= room_count; j++) check_pair(order[i], order[j])
    check_row(order[i])
    if (order[i] ~ /^vmm\/machine\// && files[order[i]] > 25)
      complain(order[i] ": has " files[order[i]] " files, more than 25: make two rooms of it")
  }
  # Last: the arrow that closes a cycle goes up, or is a link without an include, and that is its cause.
  for (i = 1; i <= room_count; i++)
    if (state[order[i]] == "") visit(order[i], order[i] " ")
  if (cycles > 0) complain(first_cycle (cycles > 1 ? " (and " cycles - 1 " more ways round)" : ""))
  for (i = 1; i <= complaint_count; i++) { fflush(); print complaints[i] > "/dev/stderr" }
  exit complaint_count > 0
}
