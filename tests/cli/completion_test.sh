#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shell completion on made-up devices, guests and files: bash's is asked as readline asks it, zsh's by pressing Tab; fish's is parsed, and asked
# by tests/lab/package_test.sh. zsh and fish where they are installed. Usage: completion_test.sh GPUVM SOURCE_DIR
set -u
gpuvm=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
  echo "FAILED: $1"
  failures=$((failures + 1))
}

for shell in bash zsh fish; do
  "$gpuvm" completion "$shell" >"$folder/script.$shell" || fail "completion $shell"
done

mkdir -p "$folder/sys/bus/pci/devices/0000:01:00.0" "$folder/sys/bus/pci/devices/0000:01:00.1" "$folder/sys/bus/pci/devices/0000:41:00.0"
mkdir -p "$folder/run/gpuvm" "$folder/work/sub"
touch "$folder/run/gpuvm/guest-render.run" "$folder/run/gpuvm/render.sock" "$folder/run/gpuvm/batch.sock" "$folder/run/gpuvm/0000:01:00.0.state"
touch "$folder/run/gpuvm/ci.pool"
touch "$folder/work/guest.toml" "$folder/work/notes.txt"
# A name that a shell would run: a file of somebody else's in a folder that root's shell was told of.
# shellcheck disable=SC2016
touch "$folder/run/gpuvm/"'guest-$(touch${IFS}ran).run'

# asked LINE: what bash offers at its end, sorted, with a space between. Colons end readline's words, as they do by default.
asked() {
  (
    cd "$folder/work" || exit 1
    XDG_RUNTIME_DIR='' _gpuvm_sysfs=$folder/sys _gpuvm_run=$folder/run bash -c '
      . "$1"
      COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=$'\'' \t\n"><=;|&(:'\''
      read -ra COMP_WORDS <<<"$2"
      _gpuvm 2>/dev/null
      printf "%s\n" "${COMPREPLY[@]}" | sort | paste -sd " "' bash "$folder/script.bash" "$1"
  )
}

# offers LINE EXPECTED
offers() {
  got=$(asked "$1")
  [ "$got" = "$2" ] || fail "'$1' offers '$got', not '$2'"
}

# has LINE WORD; lacks LINE WORD
has() {
  case " $(asked "$1") " in *" $2 "*) ;; *) fail "'$1' does not offer $2, but: $(asked "$1")" ;; esac
}
lacks() {
  case " $(asked "$1") " in *" $2 "*) fail "'$1' offers $2" ;; esac
}

bash -c '. "$1" && complete -p gpuvm' bash "$folder/script.bash" | grep -qx 'complete -F _gpuvm gpuvm' || fail 'bash knows no completion of gpuvm'

# Each verb and option that the help has, and no hidden one.
verbs=$("$gpuvm" --help | sed -n '/^Subcommands:/,/^$/p' | sed -nE 's/^  ([a-z-]+) .*/\1/p' | sort | paste -sd ' ')
offers 'gpuvm ' "$verbs"
lacks 'gpuvm ' vsock-connect
has 'gpuvm --' --version
for verb in $verbs; do
  "$gpuvm" "$verb" --help | grep -E '^ +-' | grep -oE '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' >"$folder/options"
  while read -r option; do
    has "gpuvm $verb --" "$option"
  done <"$folder/options"
done
offers 'gpuvm va' validate
offers 'gpuvm rom ' 'dump show trim'
offers 'gpuvm rom sh' show

# Values.
offers 'gpuvm run ' 'guest.toml sub'
offers 'gpuvm run gu' guest.toml
offers 'gpuvm run --dry-run ' 'guest.toml sub'
offers 'gpuvm run --set machine.cpus=4 ' 'guest.toml sub'
offers 'gpuvm run --set ' ''
offers 'gpuvm run --events no' notes.txt
offers 'gpuvm run --events=no' notes.txt
offers 'gpuvm test --artifacts ' sub
offers 'gpuvm test guest.toml -- ' ''
offers 'gpuvm reset ' '0000:01:00.0 0000:01:00.1 0000:41:00.0'
offers 'gpuvm reset 0000:01:00.0 0000:4' '41:00.0' # what is in front of the colon is there
offers 'gpuvm reset 0000:01:00' '00.0 00.1'
offers 'gpuvm reset --first ' 'rescan slot-power'
offers 'gpuvm report --show ca --lspci ' 'guest hardware'
has 'gpuvm report ' 0000:41:00.0
has 'gpuvm report 0000:41:00.0 ' notes.txt
has 'gpuvm rom show ' notes.txt
offers 'gpuvm ssh ' 'batch render'
offers 'gpuvm ssh re' render
offers 'gpuvm test --warm ' ci
offers 'gpuvm inspect ' 'batch guest.toml render sub'
offers 'gpuvm inspect re' render
offers 'gpuvm completion ' 'bash fish zsh'

# Words in quotes are one each, and what is offered for them has none: readline adds what it needs.
mkdir "$folder/work/My Guests"
touch "$folder/work/My Guests/one.toml" "$folder/work/My Guests/it's"
offers 'gpuvm run My\ Gu' 'My Guests'
offers 'gpuvm run "My Gu' 'My Guests'
offers "gpuvm run 'My Guests/on" 'My Guests/one.toml'
offers 'gpuvm run My\ Guests/on' 'My Guests/one.toml'
offers 'gpuvm run --log-file "My Guests/x y" gu' guest.toml
offers 'gpuvm run --log-file="My Guests/x y" gu' guest.toml
offers "gpuvm run --log-file 'a \"b' gu" guest.toml
offers 'gpuvm run --log-file "a \"b c" gu' guest.toml
offers 'gpuvm run --events "My Guests/it' "My Guests/it's"
offers 'gpuvm run "guest.toml" ' ''
offers 'gpuvm reset "0000:4' 0000:41:00.0 # in quotes colons end no word
offers 'gpuvm "run" --dry' --dry-run
rm -r "$folder/work/My Guests"

# zsh, on a terminal: what becomes of a line when Tab is pressed at its end.
cat >"$folder/press.zsh" <<'END'
zmodload zsh/zpty
for asked; do
  zpty shell zsh -f -i
  zpty -w shell "PS1=; fpath=($FUNCTIONS \$fpath); autoload -Uz compinit; compinit -u -D
    show() { print -r -- \"LINE:\$BUFFER:END\"; BUFFER=; zle .accept-line }; zle -N show; bindkey '^X' show; print REA''DY"
  while zpty -r shell line; do [[ $line != *READY* ]] || break; done
  zpty -n -w shell "$asked"$'\t\C-X'
  while zpty -r shell line; do [[ $line != *LINE:* ]] || { print -r -- ${${line#*LINE:}%:END*}; break }; done
  zpty -d shell
done
END

# becomes LINE EXPECTED
becomes() {
  got=$(cd "$folder/work" && XDG_RUNTIME_DIR='' FUNCTIONS=$folder/functions _gpuvm_sysfs=$folder/sys _gpuvm_run=$folder/run \
    timeout 60 zsh -f "$folder/press.zsh" "$1")
  [ "$got" = "$2" ] || fail "zsh makes '$got' of '$1', not '$2'"
}

if command -v zsh >/dev/null; then
  mkdir "$folder/functions"
  cp "$folder/script.zsh" "$folder/functions/_gpuvm"
  becomes 'gpuvm va' 'gpuvm validate '
  becomes 'gpuvm rom sh' 'gpuvm rom show '
  becomes 'gpuvm run --dr' 'gpuvm run --dry-run '
  becomes 'gpuvm run --dry-run g' 'gpuvm run --dry-run guest.toml '
  becomes 'gpuvm reset --first sl' 'gpuvm reset --first slot-power '
  becomes 'gpuvm reset 0000:4' 'gpuvm reset 0000:41:00.0 '
  becomes 'gpuvm ssh re' 'gpuvm ssh render '
fi

# fish offers words alone where a value is one of them, and no name that a guest cannot have.
if command -v fish >/dev/null; then
  mkdir -p "$folder/xdg/gpuvm"
  touch "$folder/xdg/gpuvm/render.sock" "$folder/xdg/gpuvm/"'a b;c.sock'
  # fish_offers LINE EXPECTED
  fish_offers() {
    got=$(cd "$folder/work" && HOME=$folder XDG_RUNTIME_DIR=$folder/xdg fish -N -c 'source $argv[1]; complete -C $argv[2]' "$folder/script.fish" "$1" 2>&1 \
      | cut -f 1 | sort | paste -sd ' ')
    [ "$got" = "$2" ] || fail "fish offers '$got' for '$1', not '$2'"
  }
  fish_offers 'gpuvm reset --first ' 'rescan slot-power'
  fish_offers 'gpuvm run --log-format ' 'json text'
  fish_offers 'gpuvm convert --from ' 'libvirt qemu'
  fish_offers 'gpuvm stop ' render
  fish_offers 'gpuvm inspect ren' render
fi

# Without devices and guests there is nothing, and no error.
rm -r "$folder/sys/bus" "$folder/run/gpuvm"
offers 'gpuvm reset ' ''
offers 'gpuvm ssh ' ''

for shell in zsh fish; do
  if command -v "$shell" >/dev/null; then
    "$shell" -n "$folder/script.$shell" || fail "$shell does not parse its script"
  else
    echo "not tried: $shell's script, since $shell is not installed"
  fi
done

[ ! -e "$folder/work/ran" ] || fail "a guest's name was run"

[ "$failures" -eq 0 ]
